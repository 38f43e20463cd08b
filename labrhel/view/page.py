"""The page of one viewer: figures, words and buttons around a run that the hub looks at."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

from bokeh.document import Document
from bokeh.model import Model
from bokeh.models import Button, Div, InlineStyleSheet, Row
from jinja2 import Template

from labrhel.records import style
from labrhel.records.echoes import RecordedEcho
from labrhel.store.index import ALIVE
from labrhel.view import figures, words
from labrhel.view.acting import Action, may_act
from labrhel.view.hub import Hub
from labrhel.view.look import BUTTONS, STYLE, TEMPLATE
from labrhel.view.newest import newest_echo, results_of_tests
from labrhel.view.progress import Progress
from labrhel.view.rig_state import calibration_words, outputs_of

PERIOD = 400
"""Milliseconds between two looks at what the hub has read."""

_NOTHING = "<h1>no run to show</h1><p>It is listed when there is one; load the page again.</p>"
_SLOW = 5  # looks at what was read, for one at the rig
_CARDS = (
    ("loss", "Loss"),
    ("parameters", "Parameters"),
    ("health", "Health of the echo"),
    ("eps", "Nudge strength eps"),
    ("retrace", "Forward, and the echo mirrored"),
    ("response", "Answer to the nudge"),
    ("tested", "Read-out against target"),
    ("warnings", "Warnings"),
    ("trust", "Can its gradients be trusted?"),
    ("outputs", "Outputs of the rig"),
)
_LABELS: dict[Action, str] = {"pause": "Pause", "resume": "Resume", "stop": "Stop", "estop": "Emergency stop"}
_SURE: dict[Action, str] = {
    "pause": "Sure? Pause after this step",
    "resume": "Sure? Go on",
    "stop": "Sure? Stop after this step",
    "estop": "Sure? STOP EVERY RIG NOW",
}

Do = Callable[[Action, str], "Future[str]"]
"""Does an action on a run, elsewhere: the page must go on meanwhile."""


class Page:
    """A document's pieces; `refresh` brings them up to date, and is cheap where nothing is new."""

    def __init__(self, hub: Hub, run: str, do: Do | None) -> None:
        lines = hub.overview.lines
        self._hub, self._do = hub, do
        self.run = run or (lines[0].id if lines else "")
        self.progress: Progress | None = hub.watch(self.run) if self.run else None
        self._seen: tuple[int, int] = (-1, -1)
        self._turn = 0
        self._echo: tuple[object, RecordedEcho | None] = (None, None)
        sheet = InlineStyleSheet(css=STYLE)
        self._texts = {
            name: Div(text="", sizing_mode="stretch_width", stylesheets=[sheet], disable_math=True, name=name)
            for name in ("runs", "heading", "said", "numbers", "legend", "warnings", "trust", "outputs")
        }
        plot = figures.steps_plot
        self._plots = {
            "loss": plot("Loss", logarithmic=True, legend=False),
            "parameters": plot("Parameters", legend=False),
            "health": plot("Health of the echo", logarithmic=True),
            "eps": plot("Nudge strength eps", logarithmic=True, legend=False),
            "retrace": figures.Plot("Forward, and the echo mirrored", "time"),
            "response": figures.Plot("Answer to the nudge", "time", legend=False),
            "tested": figures.Plot("Read-out against target", "time"),
        }
        self._armed: Action | None = None
        self._buttons = self._made_buttons() if do is not None and self.progress is not None else {}
        self.refresh()

    def add_to(self, document: Document) -> None:
        """Put the pieces into a document, and keep them up to date."""
        roots: list[Model] = [*self._texts.values()]
        if self._buttons:
            buttons: Any = list(self._buttons.values())
            roots.append(Row(children=buttons, name="acts", spacing=8, styles={"flex-wrap": "wrap"}))
        for name, item in self._plots.items():
            item.figure.name = name
            roots.append(item.figure)
        for root in roots:
            document.add_root(root)
        document.title = f"labrhel: {self.progress.manifest['name'] if self.progress else 'runs'}"
        document.template = Template(TEMPLATE)
        document.template_variables["cards"] = _CARDS
        document.template_variables["names"] = {root.name for root in roots}
        document.add_periodic_callback(self.refresh, PERIOD)
        document.on_session_destroyed(lambda _: self.close())

    def close(self) -> None:
        """The viewer has gone."""
        if self.progress is not None:
            self._hub.unwatch(self.run)
            self.progress = None

    def refresh(self) -> None:
        """Show what the hub has read since."""
        overview, progress = self._hub.overview, self.progress
        seen = (overview.version, -1 if progress is None else progress.version)
        self._turn += 1
        if seen[0] != self._seen[0]:
            self._write("runs", words.listed(overview.lines, self.run, overview.left_out))
        if progress is None:
            self._write(
                "heading", "<h1>no run to show</h1><p>It appears here when there is one; then load this page again.</p>"
            )
            self._seen = seen
            return
        if seen[1] != self._seen[1] or self._turn % _SLOW == 0:
            self._write("heading", words.heading(progress))
        if seen[1] != self._seen[1]:
            self._draw(progress)
        if self._turn % _SLOW == 1:
            self._look_at_rig(progress)
        self._seen = seen

    def _write(self, name: str, text: str) -> None:
        if self._texts[name].text != text:
            self._texts[name].text = text

    def _draw(self, progress: Progress) -> None:
        manifest, plots = progress.manifest, self._plots
        time, unit = str(manifest.get("time_unit", "")), manifest.get("target_unit", "")
        figures.draw_scalars(plots["loss"], progress.scalars, {"loss": style.FORWARD})
        health = {"response_ratio": style.NUDGED, "retrace_error": style.ECHO}
        figures.draw_scalars(plots["health"], progress.scalars, health)
        figures.draw_scalars(plots["eps"], progress.scalars, {"eps": style.NUDGED})
        named = figures.draw_parameters(plots["parameters"], progress.parameters, manifest.get("units", {}))
        self._write("legend", words.legend(named, progress))
        if self._echo[0] != progress.kept:
            self._echo = progress.kept, newest_echo(progress)
            if (echo := self._echo[1]) is not None:
                figures.draw_retrace(plots["retrace"], echo, time)
                figures.draw_response(plots["response"], echo, time)
        if progress.state not in ALIVE:
            for result in list(results_of_tests(progress).values())[:1]:
                figures.draw_tested(plots["tested"], result, unit, time)
        self._write("warnings", words.warnings(progress))
        self._write("numbers", words.numbers(progress))
        self._write("trust", words.trust(progress, calibration_words(manifest.get("calibration", {})), self._echo[1]))
        for item in plots.values():
            item.figure.visible = item.has_points

    def _look_at_rig(self, progress: Progress) -> None:
        self._write("outputs", words.outputs(outputs_of(progress.folder.name)))
        if self._buttons:
            alive = progress.state in ALIVE and may_act(progress.folder.name)
            for action, button in self._buttons.items():
                if action != "estop" and button.disabled == alive:
                    button.disabled = not alive

    # -- what the user does -----------------------------------------------------------------------------------------

    def _made_buttons(self) -> dict[Action, Button]:
        sheet = InlineStyleSheet(css=BUTTONS)
        found: dict[Action, Button] = {}
        for action, label in _LABELS.items():
            kind = "danger" if action == "estop" else "default"
            found[action] = Button(label=label, button_type=kind, stylesheets=[sheet], name=action)
            found[action].on_click(partial(self.pressed, action))
        return found

    def pressed(self, action: Action) -> None:
        """The first press asks, the second one does it; another button takes the first one back."""
        assert self._do is not None and self.progress is not None
        sure = self._armed == action
        self._armed = None if sure else action  # the buttons stay as they are: one that changed would lose the focus
        if not sure:
            self._write("said", f"<p role='alert'>{_SURE[action]}: press once more. Another button takes it back.</p>")
            return
        document: Any = self._buttons[action].document
        self._write("said", f"<p role='status'>{_LABELS[action]} ...</p>")
        doing = self._do(action, self.progress.folder.name)
        doing.add_done_callback(lambda done: document.add_next_tick_callback(partial(self._told, done.result())))

    def _told(self, answer: str) -> None:
        self._write("said", words.answer(answer))
