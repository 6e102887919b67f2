"""Settings of one monitor, as frozen structs."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal

import msgspec

from agent.drift_config import DriftConfig
from agent.forms import About, Frozen
from agent.names import ChannelName
from agent.quantities import ANGLE, DURATION, FREQUENCY, LENGTH, PER_HOUR, RATE, SPAN, Span
from agent.states_config import StatesConfig


class BearingConfig(Frozen, frozen=True, kw_only=True):
    """The bearing that a vibration monitor looks for faults of; its data sheet has the numbers."""

    balls: Annotated[int, About("Number of balls or rollers.", least=3, most=1000)]
    ball_diameter_m: Annotated[float, LENGTH, About("Diameter of a ball.", least=1e-5, most=10)]
    pitch_diameter_m: Annotated[
        float, LENGTH, About("Diameter of the circle through the balls' centres.", least=1e-5, most=100)
    ]
    contact_angle_deg: Annotated[float, ANGLE, About("Contact angle.", most=89)] = 0.0
    speed_hz: Annotated[
        float | None,
        FREQUENCY,
        About(
            "Speed of the shaft in normal operation.",
            default="none: estimated from the spectrum, between the next two",
            least=0.01,
            most=10_000,
        ),
    ] = None
    slowest_hz: Annotated[
        float | None,
        FREQUENCY,
        About("Where the speed is estimated: not below this.", default="none", least=0.01, most=10_000),
    ] = None
    fastest_hz: Annotated[
        float | None,
        FREQUENCY,
        About(
            "Where the speed is estimated: not above this; at most 2.5 times `slowest`.",
            default="none",
            least=0.01,
            most=10_000,
        ),
    ] = None


class IsoConfig(Frozen, frozen=True, kw_only=True):
    """What kind of machine shakes, for the zones of ISO 20816-3."""

    machine: Annotated[
        Literal["group1", "group2"],
        About("`group1`: above 300 kW, or shafts 315 mm high and more; `group2`: from 15 kW up to that."),
    ]
    mounting: Annotated[
        Literal["rigid", "flexible"],
        About("`rigid`: lowest resonance of machine and support at least 25 % above the main frequency."),
    ]


class AlertConfig(Frozen, frozen=True, kw_only=True):
    """When the level of strangeness (1.0 is the edge of normal) becomes an alert, and when that ends."""

    refused: ClassVar[dict[str, str]] = {
        "on_level": "is not a setting: an alert begins at level 1.0, which false_alarms moves",
    }

    on_delay_s: Annotated[
        float | None,
        DURATION,
        About(
            "How long above 1.0 before it alerts.",
            default="`10 s`; `level`: none; vibration: 4 hops",
            most=864_000,
        ),
    ] = None
    off_delay_s: Annotated[
        float | None,
        DURATION,
        About(
            "How long below `off_level` before it clears.",
            default="`30 s`; `level`: 3 rows; vibration: 20 hops",
            most=864_000,
        ),
    ] = None
    off_level: Annotated[
        float | None,
        About(
            "The level it must fall below to clear. One of your own may let a stricter budget alarm more often.",
            default="0.9 of where the edge of `6 per hour` would be; of `sensitivity`: `0.9`",
            least=0.01,
            most=1.0,
        ),
    ] = None
    hold_s: Annotated[
        float | None,
        DURATION,
        About(
            "For so long after an alert, alert again only at twice its level.",
            default="none; `level`: 100 rows",
            most=8_640_000,
        ),
    ] = None
    critical_level: Annotated[
        float | None,
        About(
            "From here on it is critical, below it a warning.",
            default="`2`; `level`: `1.5`",
            least=1.0,
            most=1000,
        ),
    ] = msgspec.field(default=None, name="critical")
    flood_per_hour: Annotated[
        int, PER_HOUR, About("More alerts than this are counted, not sent.", least=1, most=3600)
    ] = 12


class RangeConfig(Frozen, frozen=True, kw_only=True):
    """What a channel's sensor can measure, in the channel's unit; anything else is no measurement."""

    name: Annotated[str, About("", role="name")] = ""
    low: Annotated[float | None, About("The lowest value.", default="none")] = None
    high: Annotated[float | None, About("The highest value.", default="none")] = None

    @property
    def limits(self) -> tuple[float, float]:
        """Lowest and highest, infinite where there is none."""
        return (
            -math.inf if self.low is None else self.low,
            math.inf if self.high is None else self.high,
        )


class SensorFaultsConfig(Frozen, frozen=True, kw_only=True):
    """Which faults of the sensor itself are watched for: `true` or `false` each."""

    off: ClassVar[dict[str, bool]] = dict.fromkeys(
        ("dropout", "out_of_range", "spikes", "stuck", "flat", "saturated", "wrong_rate"), False
    )

    dropout: Annotated[bool | None, About("Samples that are no numbers.", default="`true`")] = None
    out_of_range: Annotated[bool | None, About("Values outside of `range`.", default="`true`")] = None
    spikes: Annotated[
        bool | None,
        About(
            "Single values far away.",
            default="`true`; of a row a minute or fewer: `false`",
        ),
    ] = None
    stuck: Annotated[
        bool | None,
        About(
            "A value that does not move; without it slow channels are not `saturated` either.",
            default="`true`",
        ),
    ] = None
    flat: Annotated[
        bool | None,
        About("The same, from the very start: of a set point that is how it is.", default="`true`"),
    ] = None
    saturated: Annotated[bool | None, About("A value at the end of the scale.", default="`true`")] = None
    wrong_rate: Annotated[
        bool | None, About("Samples faster or slower than the sensor says.", default="`true`")
    ] = None


class MonitorConfig(Frozen, frozen=True, kw_only=True):
    """What is listened for in the samples of one sensor."""

    name: Annotated[str, About("", role="name")] = ""
    sensor: Annotated[str, About("Name of the sensor it listens to.")]
    channels: Annotated[
        tuple[str, ...], About("The channels it listens to, as a list.", default="all of the sensor's")
    ] = ()
    detector: Annotated[
        Literal["auto", "mahalanobis", "reconstruction", "level", "knn", "spectral", "autoencoder"],
        About(
            "`mahalanobis`: several channels that belong together; `reconstruction`: the same, along a curve; "
            "`level`: changes of slow channels, each alone; `knn`: stretches of slow channels, each alone, unlike "
            "any before; `spectral`: vibration, by its bands; `autoencoder`: vibration, by its waveform; `auto`: "
            "`spectral` for vibration, `level` for one channel of a row a minute or fewer, else `mahalanobis`. "
            "What each is good and bad at: [detectors](detectors.md)."
        ),
    ] = "auto"
    variant: Annotated[
        Literal["auto", "fp32", "int8"] | None,
        About(
            "Of the model, for `autoencoder`: `int8` is quantised, smaller and faster, `fp32` is not; `auto`: what its "
            "card says. A baseline belongs to one.",
            default="`auto`",
        ),
    ] = None
    features: Annotated[
        Literal["auto", "telemetry", "vibration"],
        About(
            "`telemetry`: slow values as they are; `vibration`: bands of a waveform; `auto`: by the sensor."
        ),
    ] = "auto"
    window: Annotated[
        Span | None,
        SPAN,
        About(
            "Length of stream that gives one score; not for `level`.",
            default="telemetry: `20 rows`; vibration: `1 s`",
        ),
    ] = None
    hop: Annotated[
        Span | None,
        SPAN,
        About(
            "From one window to the next; not for `level`.",
            default="telemetry: `1 row`; vibration: half a window",
        ),
    ] = None
    smooth: Annotated[
        int | None,
        About(
            "Windows averaged into one score; vibration only.",
            default="`5`; of `snapshots`: `20`, fewer where `learn` is short",
            least=1,
            most=10_000,
        ),
    ] = None
    snapshots_s: Annotated[
        float | None,
        DURATION,
        About(
            "The sensor gives a short burst so often; `window` says how long it is. Vibration only.",
            default="none: it gives samples all the time",
            least=0.1,
            most=604_800,
        ),
    ] = None
    max_gap: Annotated[
        Span | None,
        SPAN,
        About(
            "After a longer gap the window starts afresh.", default="telemetry: `10 rows`; vibration: `20 ms`"
        ),
    ] = None
    learn: Annotated[
        Span | None,
        SPAN,
        About(
            "How much normal operation it learns from; at most 50000 rows, or windows.",
            default="`600 rows`; `level`: `750 rows`; vibration: 120 windows",
        ),
    ] = None
    false_alarms_hz: Annotated[
        float | None,
        RATE,
        About(
            "How many false alarms it may give; at most 6 per hour. What it learned says how surely that can be kept.",
            default="`1 per week`, or until so much normal was seen, one in 30 times as long as was",
            least=0.01 / 31_556_952,  # in a hundred years, beyond which no machine lasts
            most=6 / 3600,  # models.tail.LOOSEST_HZ
        ),
    ] = None
    sensitivity: Annotated[
        Literal["quiet", "normal", "sensitive"] | None,
        About(
            "Instead of `false_alarms`: an edge at 2, 1.5 or 1.3 times what 99 % of normal stays below; how many "
            "false alarms to expect is said.",
            default="none",
        ),
    ] = None
    max_delay_s: Annotated[
        float | None,
        DURATION,
        About(
            "With `budgets`: a sample is judged by the whole model no later than this.",
            default="`1 min`, or 10 times what one level is averaged over, if longer",
            least=0.1,
            most=864_000,
        ),
    ] = None
    priority: Annotated[
        Literal["low", "normal", "high"],
        About("With `budgets`: whose looks are worth more, and who is shed last where the hardware cannot."),
    ] = "normal"
    publish_state_s: Annotated[
        float, DURATION, About("Its state is published at most this often.", least=0.1, most=86_400)
    ] = 10.0
    bearing: Annotated[
        BearingConfig | None, About("The bearing to look for faults of; vibration only.", default="none")
    ] = None
    iso: Annotated[
        IsoConfig | None,
        About(
            "The kind of machine, whose vibration is then given a zone, D of which alerts.", default="none"
        ),
    ] = None
    states: Annotated[
        StatesConfig | None,
        About(
            "The machine's operating states: `none`, or the settings below.",
            default="found while learning",
            role="switch",
        ),
    ] = None
    drift: Annotated[
        DriftConfig,
        About(
            "How far its normal may creep from where it was learned: `none`, or the settings below.",
            default="`limit: 4`",
            role="switch",
        ),
    ] = DriftConfig()
    range: Annotated[
        dict[Annotated[str, ChannelName()], RangeConfig],
        About("What the sensor can measure, by channel: the ends of its scale.", default="none"),
    ] = msgspec.field(default_factory=dict)
    sensor_faults: Annotated[
        SensorFaultsConfig,
        About("Faults of the sensor itself to watch for: `false` for none of them.", role="switch"),
    ] = SensorFaultsConfig()
    alert: Annotated[AlertConfig, About("When it alerts.")] = AlertConfig()
