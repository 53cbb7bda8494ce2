"""Recipes that a stranger might send: each tries to run, write or read what it was not asked to.

`{canary}` is a file that must not appear; `{module}` a module in the working folder that writes it when imported;
`CANARY_SECRET` a variable whose value must not show.
"""

from __future__ import annotations

TARGET = "_target_: pathlib.Path.touch, self: {{_target_: pathlib.Path, _args_: ['{canary}']}}"
FACTORY = "{{'()': {module}.touch}}"
MEAL = "defaults: [meal, _self_]\n"

FILES = {
    "size/evil.yaml": "# @package hydra.callbacks\nx: {{" + TARGET + "}}\n",
    "size/global.yaml": "# @package _global_\nhydra: {{callbacks: {{x: {{" + TARGET + "}}}}}}\n",
    "size/env.yaml": "word: ${{oc.env:CANARY_SECRET}}\n",
    "size/trusting.yaml": "trust_remote_code: true\n",
    "hydra/callbacks/evil.yaml": "x: {{" + TARGET + "}}\n",
    "flavour/secretive.yaml": "defaults: [salt, _self_]\nnames: ['${{oc.env:CANARY_SECRET}}']\n",
    "library/trusting.yaml": "defaults: [open, _self_]\ntrust_remote_code: true\n",
}
"""Groups and presets beside the recipes."""

RECIPES = {
    "callbacks": MEAL + "hydra: {{callbacks: {{x: {{" + TARGET + "}}}}}}\n",
    "escaped key": MEAL + '"\\x68ydra": {{callbacks: {{x: {{' + TARGET + "}}}}}}\n",
    "job logging target": MEAL + "hydra: {{job_logging: {{handlers: {{x: " + FACTORY + "}}}}}}\n",
    "job logging factory": MEAL + "hydra: {{job_logging: {{version: 1, formatters: {{x: " + FACTORY + "}}}}}}\n",
    "job logging file": MEAL + "hydra: {{job_logging: {{handlers: {{file: {{filename: '{canary}'}}}}}}}}\n",
    "hydra logging": MEAL + "hydra: {{hydra_logging: {{handlers: {{x: " + FACTORY + "}}}}}}\n",
    "sweeper": MEAL + "hydra: {{sweeper: {{_target_: {module}.touch}}}}\n",
    "launcher": MEAL + "hydra: {{launcher: {{_target_: {module}.touch}}}}\n",
    "sweeper parameters": MEAL + "hydra: {{sweeper: {{params: {{+hydra.run.dir: '{canary}'}}}}}}\n",
    "mode": MEAL + "hydra: {{mode: MULTIRUN, sweep: {{dir: '{canary}'}}}}\n",
    "search path": MEAL + "hydra: {{searchpath: ['pkg://{module}']}}\n",
    "search path by another key": MEAL + "evil: [pkg://{module}]\nhydra: {{searchpath: '${{evil}}'}}\n",
    "variables set": MEAL + "hydra: {{job: {{env_set: {{PYTHONSTARTUP: '{canary}'}}}}}}\n",
    "variables copied": MEAL + "hydra: {{job: {{env_copy: [CANARY_SECRET]}}}}\n",
    "variable not there": MEAL + "hydra: {{job: {{env_copy: [NO_SUCH_VARIABLE]}}}}\n",
    "run folder": MEAL + "hydra: {{run: {{dir: '{canary}'}}}}\n",
    "sweep folder": MEAL + "hydra: {{sweep: {{subdir: '../../{canary}'}}}}\n",
    "output folder": MEAL + "hydra: {{output_subdir: '{canary}', job: {{chdir: true}}}}\n",
    "overrides for Hydra": MEAL + "hydra: {{overrides: {{hydra: ['hydra.run.dir={canary}']}}}}\n",
    "overrides for the points": MEAL + "hydra: {{overrides: {{task: ['hydra.sweep.dir={canary}']}}}}\n",
    "hydra is an interpolation": MEAL + "evil: {{run: {{dir: '{canary}'}}}}\nhydra: ${{evil}}\n",
    "packaged as hydra": "# @package hydra\ncallbacks: {{x: {{" + TARGET + "}}}}\n",
    "global package": "# @package _global_\n" + MEAL + "hydra: {{callbacks: {{x: {{" + TARGET + "}}}}}}\n",
    "group into hydra": "defaults: [meal, size@hydra.callbacks: evil, _self_]\n",
    "group with its own package": "defaults: [meal, size: evil, _self_]\n",
    "global group": "defaults: [meal, size: global, _self_]\n",
    "hydra's own group": "defaults: [meal, override /hydra/launcher: joblib, _self_]\n",
    "a group of Hydra's own": "defaults: [meal, hydra/callbacks: evil, _self_]\n",
    "job logging off": "defaults: [meal, override hydra/job_logging: disabled, _self_]\n",
    "target in a stage": MEAL + "word: {{" + TARGET + "}}\n",
    "target in an open node": MEAL + "lunch: {{library: {{" + TARGET + "}}}}\n",
    "target in a list": MEAL + "extra: [[{{" + TARGET + "}}]]\n",
    "target from a group": "defaults: [meal, size@extra: target, _self_]\n",
    "a variable": MEAL + "word: {{word: '${{oc.env:CANARY_SECRET}}'}}\n",
    "a variable, decoded": MEAL + "word: {{word: '${{oc.decode:${{oc.env:CANARY_SECRET}}}}'}}\n",
    "a variable, by a name put together": MEAL + "e: oc.env\nword: {{word: '${{${{e}}:CANARY_SECRET}}'}}\n",
    "a variable inside a call": MEAL + "word: {{word: '${{oc.select:no,${{oc.env:CANARY_SECRET}}}}'}}\n",
    "a variable as a choice": "defaults: [meal, size: '${{oc.env:CANARY_SECRET}}', _self_]\n",
    "a variable by a group": "defaults: [meal, size: env, override /flavour@lunch.flavour: secretive, _self_]\n",
    "a variable in a name": MEAL + "name: '${{oc.env:CANARY_SECRET}}'\n",
    "somebody's resolver": MEAL + "word: {{word: '${{canary_eval:{module}}}'}}\n",
    "a node made at run time": MEAL + "extra: '${{oc.create:{{_target_: {module}.touch}}}}'\n",
    "a store of its own": MEAL + "store: '{canary}'\n",
    "code of a model": MEAL + "word: {{extra: {{trust_remote_code: 'yes'}}}}\n",
    "code of a model, nested": MEAL + "lunch: {{library: {{model_init_kwargs: {{trust_remote_code: true}}}}}}\n",
    "code of a model, by a preset": "defaults: [meal, override /library@lunch.library: trusting, _self_]\n",
    "code of a model, by a group": "defaults: [meal, size: trusting, _self_]\n",
    "code of a model, by another key": MEAL + "name: x\nlunch: {{library: {{trust_remote_code: '${{name}}'}}}}\n",
    "a push": MEAL + "lunch: {{library: {{push_to_hub: true, hub_model_id: me/mine}}}}\n",
    "a stranger's space": MEAL + "lunch: {{library: {{trackio_space_id: stranger/space}}}}\n",
    "another plugin's name": MEAL + "lunch: {{flavour: {{plugin: flavour/pepper}}}}\n",
    "an object of YAML": MEAL + "word: {{word: !!python/object/apply:pathlib.Path.touch ['{canary}']}}\n",
    "aliases": "a: &a [x, x]\nb: [*a, *a]\n" + MEAL,
    "deep": "a: " + "[" * 5000 + "]" * 5000 + "\n",
    "deep by indent": "\n".join(" " * depth + "a:" for depth in range(1400)) + "\n",
    "merge key": MEAL + "word: {{<<: {{word: x}}, '<<': {{" + TARGET + "}}}}\n",
}
FILES["size/target.yaml"] = "deep: {{" + TARGET + "}}\n"
