"""The emulated Speck kit behind the vendor's calls: time, input and output, faults, meter, readout, DVS layer."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import pytest

from nrt.errors import ConfigError
from nrt_sim.chips.speck import figures
from nrt_sim.chips.speck.configuration import Destination, SpeckConfiguration, problems
from nrt_sim.chips.speck.double import samna
from nrt_sim.chips.speck.events import (
    DvsEvent,
    KillSensorPixel,
    NeuronValue,
    ReadNeuronValue,
    ReadoutPinValue,
    ReadoutValue,
    ResetSensorPixel,
    Spike,
    WriteNeuronValue,
)
from tests.unit.sim.speck_case import bench, relay, set_core, spikes


def relays(*cores: int, **settings: Any) -> SpeckConfiguration:
    config = SpeckConfiguration()
    for core in cores:
        relay(config, core, **settings)
    return config


# Devices


def test_an_open_board_is_listed_but_no_longer_among_the_unopened() -> None:
    module = samna()
    (info,) = module.device.get_unopened_devices()
    kit = module.device.open_device(info)
    assert module.device.get_all_devices() == [info]
    assert module.device.get_unopened_devices() == []
    assert module.device.open_device(info) is kit
    module.device.close_device(kit)
    assert module.device.get_unopened_devices() == [info]


def test_a_closed_board_refuses_every_call() -> None:
    board = bench(relays(2))
    board.module.device.close_device(board.kit)
    for call in (board.kit.get_model, board.kit.get_stop_watch().reset, board.output.get_events):
        with pytest.raises(RuntimeError, match="closed"):
            call()
    with pytest.raises(RuntimeError, match="closed"):
        board.input.write([Spike(2)])


def test_a_board_that_somebody_else_holds_is_listed_and_cannot_be_opened() -> None:
    module = samna(fault="busy")
    (info,) = module.device.get_all_devices()
    assert module.device.get_unopened_devices() == []
    with pytest.raises(RuntimeError, match="cannot be opened"):
        module.device.open_device(info)


def test_two_benches_do_not_share_a_board() -> None:
    one, two = bench(relays(2)), bench(relays(2))
    one.input.write([WriteNeuronValue(2, 0, 55)])
    assert (one.membrane(2), two.membrane(2)) == (55, 0)


@pytest.mark.parametrize("fault", ["bussy", "unplug", "unplug:-1", "busy:3", "stall:soon"])
def test_a_fault_that_there_is_not_is_refused_by_name(fault: str) -> None:
    with pytest.raises(ConfigError, match=r"there is busy, absent"):
        samna(fault=fault)


@pytest.mark.parametrize(
    "options", [{"fifo": 0}, {"fifo": 10**9}, {"synop_ns": 0.0}, {"pace": -1.0}, {"pace": float("nan")}]
)
def test_options_beyond_reason_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="the emulated Speck board takes"):
        samna(**options)


# Time


def test_the_stop_watch_stamps_output_and_is_reset() -> None:
    board = bench(relays(2))
    assert [s[0] for s in spikes(board.play(Spike(2, timestamp=70), end=100))] == [70]
    board.kit.get_stop_watch().reset()
    assert [s[0] for s in spikes(board.play(Spike(2, timestamp=5), end=100))] == [5]


def test_stamps_wrap_at_32_bits_both_ways() -> None:
    board = bench(relays(2))
    board.play(end=2_000_000_000)
    board.play(end=4_000_000_000)
    late = 2**32 + 50
    out = board.play(Spike(2, timestamp=late - 100), Spike(2, timestamp=late % 2**32), end=200)
    assert [s[0] for s in spikes(out)] == [late - 100, 50]


def test_an_event_whose_time_is_past_goes_at_once() -> None:
    board = bench(relays(2))
    board.play(end=1000)
    assert [s[0] for s in spikes(board.play(Spike(2, timestamp=10), end=2000))] == [1000]


def test_with_the_stop_watch_off_stamps_of_the_input_mean_nothing() -> None:
    board = bench(relays(2))
    board.kit.get_stop_watch().stop()
    board.play(Spike(2, timestamp=10**6), end=2 * 10**6)
    board.kit.get_stop_watch().start()
    assert [s[0] for s in spikes(board.play(end=50))] == [0]


def test_a_spike_still_under_way_appears_when_time_goes_on() -> None:
    config = relays(8)
    relay(config, 7, to=8)
    board = bench(config)
    board.input.write([Spike(7, timestamp=10), ReadNeuronValue(7, 0)])
    assert [type(e) for e in board.output.get_events()] == [NeuronValue]
    assert [s[1] for s in spikes(board.play(end=100))] == [7, 8]


def test_output_comes_in_order_of_its_stamps_before_a_later_marker() -> None:
    config = SpeckConfiguration()
    for core in range(8):
        relay(config, core, to=core + 1)
    relay(config, 8)
    config.dvs_layer.monitor_enable = True
    board = bench(config)
    stream: list[Any] = []
    for t in range(0, 2000, 3):
        stream += [Spike(0, timestamp=t), Spike(4, timestamp=t), DvsEvent(x=t % 100, timestamp=t)]
    out = spikes(board.play(*stream, end=3000))
    assert len(out) == 667 * (9 + 5 + 1)
    assert [s[0] for s in out] == sorted(s[0] for s in out)


def test_in_real_time_an_event_comes_no_earlier_than_the_wall_clock_says() -> None:
    board = bench(relays(2), pace=1.0)
    begun = time.monotonic()
    board.kit.get_stop_watch().reset()
    board.input.write([Spike(2, timestamp=50_000), Spike(2, timestamp=50_000)])
    got: list[Any] = []
    while len(got) < 2 and time.monotonic() < begun + 60:
        got += spikes(board.output.get_events_blocking(20_000))
    assert time.monotonic() >= begun + 0.05
    assert [s[0] for s in got] == [50_000, 50_000]


def test_in_real_time_everything_comes_that_comes_in_virtual_time() -> None:
    config = relays(8)
    relay(config, 1, to=8)
    stream = [Spike(1, timestamp=t) for t in range(0, 20_000, 50)]
    expected = len(spikes(bench(config).play(*stream, end=30_000)))
    board = bench(config, pace=10.0)
    board.kit.get_stop_watch().reset()
    got: list[Any] = []
    for begin in range(0, len(stream), 7):
        board.input.write(stream[begin : begin + 7])
        got += spikes(board.output.get_events())
    limit = time.monotonic() + 60
    while len(got) < expected and time.monotonic() < limit:
        got += spikes(board.output.get_events_blocking(1000))
    assert len(got) == expected == 800


def test_a_blocked_reader_wakes_for_what_another_thread_writes() -> None:
    board = bench(relays(2))
    got: list[Any] = []
    reader = threading.Thread(target=lambda: got.extend(board.output.get_events_blocking(60_000)))
    reader.start()
    board.input.write([Spike(2), ReadNeuronValue(2, 0)])
    board.input.write([DvsEvent(x=127, y=127, timestamp=1000)])
    reader.join(30)
    assert not reader.is_alive()
    assert got


def test_a_blocking_read_without_events_ends_with_its_timeout() -> None:
    assert bench(relays(2)).output.get_events_blocking(1) == []


# Faults


def test_an_unplugged_board_raises_from_every_call_and_wakes_a_blocked_reader() -> None:
    board = bench(relays(2))
    seen: list[BaseException] = []

    def read() -> None:
        try:
            board.output.get_events_blocking(60_000)
        except RuntimeError as error:
            seen.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    board.module.board.unplug()
    reader.join(30)
    assert len(seen) == 1
    for call in (
        board.output.get_events,
        board.kit.get_stop_watch().reset,
        lambda: board.input.write([Spike(2)]),
    ):
        with pytest.raises(RuntimeError, match="disconnected"):
            call()


def test_the_cable_comes_off_after_so_many_events_and_a_reopened_board_is_blank() -> None:
    board = bench(relays(2), fault="unplug:10")
    board.input.write([Spike(2)] * 9)
    board.input.write([Spike(2)] * 9)
    with pytest.raises(RuntimeError, match="disconnected"):
        board.output.get_events()
    board.module.device.close_device(board.kit)
    again = board.module.device.open_device(board.module.device.get_all_devices()[0])
    assert again is not board.kit
    again.get_model().apply_configuration(relays(2))


def test_a_stalled_chip_says_nothing_any_more() -> None:
    board = bench(relays(2), fault="stall:5")
    board.input.write([Spike(2)] * 8)
    board.input.write([ReadNeuronValue(2, 0), DvsEvent(x=127, y=127, timestamp=500)])
    assert board.output.get_events_blocking(1) == []


def test_an_overloaded_chip_is_late_or_with_that_fault_stops() -> None:
    config = SpeckConfiguration()
    weights = np.full((1024, 1, 1, 1), 127)
    set_core(config, 5, weights, (1, 1, 1), high=127, monitor_enable=True)
    out = spikes(bench(config).play(*[Spike(5, timestamp=n) for n in range(200)], end=100_000))
    assert len(out) == 200 * 1024
    assert out[-1][0] > 1000
    stopped = bench(config, fault="overload").play(*[Spike(5, timestamp=n) for n in range(200)], end=100_000)
    assert stopped == []


@pytest.mark.parametrize(
    "event",
    [Spike(9), Spike(-1), Spike(0, x=128), Spike(0, timestamp=2**32), ReadNeuronValue(8, 1 << 14), object()],
)
def test_what_is_no_event_of_the_chip_is_refused_and_nothing_is_written(event: object) -> None:
    board = bench(relays(0))
    with pytest.raises(TypeError):
        board.input.write([Spike(0), event])
    assert board.play(end=100) == []


# Neurons


def test_addresses_of_no_neuron_read_zero_and_take_nothing() -> None:
    board = bench(relays(2))
    board.input.write([WriteNeuronValue(2, 5, 99)])
    assert board.membrane(2, 5) == 0
    assert board.membrane(2, 0) == 0


def test_on_a_map_wider_than_high_a_write_reaches_every_neuron_of_its_address() -> None:
    """What the chip does is not known; sinabs' formula gives these 32 neurons 16 addresses."""
    config = SpeckConfiguration()
    set_core(config, 2, np.ones((1, 1, 1, 1), np.int64), (1, 4, 8), high=100)
    board = bench(config)
    address = 1 << 2
    board.input.write([WriteNeuronValue(2, address, 7)])
    board.play(end=10)
    membranes = board.module.board.chip.membranes(2)[0]
    assert np.argwhere(membranes).tolist() == [[0, 4], [1, 0], [1, 4]]


# Configuration


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"threshold_low": 0}, "known bug"),
        ({"threshold_low": 127}, "not below threshold_high"),
        ({"threshold_high": 40_000}, "threshold_high is 40000"),
        ({"weights": [[[[128]]]]}, "weights holds 128, which is no signed 8-bit number"),
        ({"weights": [[[[1, 2]]]]}, "weights has shape"),
        ({"weights": [[[[0.5]]]]}, "whole numbers"),
        ({"biases": [40_000]}, "biases holds 40000"),
        ({"leak_enable": True}, "biases has shape"),
        ({"neurons_initial_value": [[[0, 0]]]}, "neurons_initial_value has shape"),
        ({"output_decimator_enable": True, "output_decimator_interval": 8}, "output_decimator_interval is 8"),
        ({"destinations": [Destination(True, 5), Destination()]}, "layer 5, which is not in use"),
        ({"destinations": [Destination(True, 12), Destination()]}, "readout layer, which is not enabled"),
        ({"destinations": [Destination(True, 3, pooling=3), Destination()]}, "pooling is 3"),
        ({"dimensions": {}}, "dimensions are not complete"),
    ],
)
def test_a_core_that_the_chip_cannot_hold_is_refused_with_the_reason(
    change: dict[str, Any], says: str
) -> None:
    config = relays(2, 3)
    for name, value in change.items():
        setattr(config.cnn_layers[2], name, value)
    module = samna()
    valid, message = module.speck2f.validate_configuration(config)
    assert not valid
    assert says in message
    kit = module.device.open_device(module.device.get_all_devices()[0])
    with pytest.raises(ValueError, match="core 2"):
        kit.get_model().apply_configuration(config)


@pytest.mark.parametrize(
    ("axis", "name", "value"),
    [("stride", "x", 3), ("padding", "y", 8), ("padding", "x", -1), ("input_shape", "feature_count", 1025)],
)
def test_dimensions_beyond_the_chip_are_refused(axis: str, name: str, value: int) -> None:
    config = relays(2)
    config.cnn_layers[2].dimensions[axis][name] = value
    assert problems(config)


def test_all_that_is_wrong_is_said_at_once() -> None:
    config = relays(2, 3, threshold_low=0, threshold_high=-5)
    config.dvs_layer.pooling.x = 3
    config.dvs_filter.enable = True
    assert len(problems(config)) == 2 * 2 + 2


def test_a_configuration_sets_initial_states_and_empties_the_decimator() -> None:
    config = relays(2, output_decimator_enable=True, threshold_high=100)
    config.cnn_layers[2].neurons_initial_value = [[[42]]]
    board = bench(config)
    assert board.membrane(2) == 42
    board.play(Spike(2), end=10)
    board.kit.get_model().apply_configuration(config)
    assert board.membrane(2) == 42
    assert spikes(board.play(Spike(2, timestamp=20), end=30)) == []


# DVS layer


def dvs(**settings: Any) -> SpeckConfiguration:
    config = SpeckConfiguration()
    config.dvs_layer.monitor_enable = True
    for name, value in settings.items():
        for axis, number in value.items() if isinstance(value, dict) else ():
            setattr(getattr(config.dvs_layer, name), axis, number)
        if not isinstance(value, dict):
            setattr(config.dvs_layer, name, value)
    return config


@pytest.mark.parametrize(
    ("settings", "pixel", "expected"),
    [
        ({}, (5, 6, True), (5, 6, 1)),
        ({}, (5, 6, False), (5, 6, 0)),
        ({"merge": True}, (5, 6, True), (5, 6, 0)),
        ({"off_channel": False}, (5, 6, False), None),
        ({"on_channel": False}, (5, 6, True), None),
        ({"pooling": {"x": 2, "y": 4}}, (5, 6, True), (2, 1, 1)),
        ({"origin": {"x": 4, "y": 5}, "cut": {"x": 10, "y": 11}}, (5, 6, True), (1, 1, 1)),
        ({"origin": {"x": 4, "y": 5}, "cut": {"x": 10, "y": 11}}, (10, 11, True), (6, 6, 1)),
        ({"origin": {"x": 4, "y": 5}, "cut": {"x": 10, "y": 11}}, (11, 11, True), None),
        ({"origin": {"x": 4, "y": 5}, "cut": {"x": 10, "y": 11}}, (4, 4, True), None),
        ({"cut": {"x": 63, "y": 31}, "mirror": {"x": True}}, (5, 6, True), (58, 6, 1)),
        ({"cut": {"x": 63, "y": 31}, "mirror": {"y": True}}, (5, 6, True), (5, 25, 1)),
        ({"cut": {"x": 63, "y": 31}, "mirror_diagonal": True}, (5, 6, True), (6, 5, 1)),
        # all of it, as sinabs' DVSLayer computes it: pool, crop, flip, swap
        (
            {"pooling": {"x": 2, "y": 2}, "origin": {"x": 8, "y": 4}, "cut": {"x": 40, "y": 20},
             "mirror": {"x": True}, "mirror_diagonal": True},
            (30, 20, True), (6, 25, 1),
        ),
    ],
)  # fmt: skip
def test_the_dvs_layer_maps_a_pixel(
    settings: dict[str, Any], pixel: tuple[int, int, bool], expected: tuple[int, int, int] | None
) -> None:
    board = bench(dvs(**settings))
    out = spikes(board.play(DvsEvent(*pixel, timestamp=10), end=20))
    assert [s[2:] for s in out if s[0] == 10] == ([] if expected is None else [expected])
    assert all(s[1] == figures.DVS_LAYER for s in out)


def test_pixel_events_outside_the_region_are_counted() -> None:
    board = bench(dvs(origin={"x": 8}))
    board.input.write([DvsEvent(x, 0, True, 10 + x) for x in range(10)])
    assert len(board.output.get_events()) == 2
    assert board.module.board.chip.cut_away == 8


def test_the_dvs_layer_feeds_two_cores_and_shows_raw_events() -> None:
    config = relays(2, 3)
    config.dvs_layer.merge, config.dvs_layer.raw_monitor_enable = True, True
    for destination, core in zip(config.dvs_layer.destinations, (2, 3), strict=True):
        destination.enable, destination.layer = True, core
    out = bench(config).play(DvsEvent(p=True, timestamp=3), end=50)
    assert [(s[1], s[0]) for s in spikes(out)] == [(2, 3), (3, 3)]
    assert next((e.x, e.p) for e in out if isinstance(e, DvsEvent)) == (0, True)


def test_a_killed_pixel_is_silent_until_it_is_reset() -> None:
    board = bench(dvs())
    pixel = (
        KillSensorPixel(7, 8),
        DvsEvent(7, 8, True, 10),
        ResetSensorPixel(7, 8),
        DvsEvent(7, 8, True, 20),
    )
    assert [s[0] for s in spikes(board.play(*pixel, end=30))] == [20]


# Slow clock, readout block, power


def readout(**settings: Any) -> SpeckConfiguration:
    """Core 3 with a channel per event, into the readout block; channels 0, 4, 8 are classes 1, 2, 3."""
    config = SpeckConfiguration()
    weights = np.zeros((9, 9, 1, 1), np.int64)
    weights[range(9), range(9)] = 127
    set_core(config, 3, weights, (9, 1, 1), high=127).destinations[0] = Destination(
        True, figures.READOUT_LAYER
    )
    config.readout.enable, config.readout.low_pass_filter_disable = True, True
    for name, value in settings.items():
        setattr(config.readout, name, value)
    return config


def start_clock(kit: Any, hertz: int) -> None:
    kit.get_io_module().set_slow_clk_rate(hertz)
    kit.get_io_module().set_slow_clk(True)


def test_the_readout_pins_name_the_class_over_the_threshold() -> None:
    board = bench(readout(readout_pin_monitor_enable=True, threshold=3))
    start_clock(board.kit, 1000)
    burst = [Spike(3, feature=4, timestamp=t) for t in range(100, 500, 100)]
    few = [Spike(3, feature=8, timestamp=t) for t in range(1100, 1400, 100)]
    out = board.play(*burst, *few, end=3500)
    assert [(e.index, e.timestamp) for e in out if isinstance(e, ReadoutPinValue)] == [(2, 1000)]


@pytest.mark.parametrize(("mode", "data"), [(0, 0), (1, 0b100), (2, 1), (3, 5)])
def test_a_readout_value_holds_valid_class_and_what_its_mode_selects(mode: int, data: int) -> None:
    """Datasheet 3.2.5.5."""
    board = bench(readout(monitor_enable=True, threshold=4, output_mode_sel=mode, output_neuron_num=3))
    start_clock(board.kit, 1000)
    events = [Spike(3, feature=4, timestamp=t) for t in range(5)] + [Spike(3, feature=8, timestamp=9)]
    values = [e.value for e in board.play(*events, end=1500) if isinstance(e, ReadoutValue)]
    assert values == [1 << 20 | 2 << 16 | data]


@pytest.mark.parametrize(("wide", "window"), [(False, 16), (True, 32)])
def test_the_low_pass_averages_over_16_or_32_ticks(wide: bool, window: int) -> None:
    config = readout(
        monitor_enable=True, output_mode_sel=3, low_pass_filter_disable=False, low_pass_filter32_not16=wide
    )
    board = bench(config)
    start_clock(board.kit, 1000)
    out = board.play(*[Spike(3, feature=0, timestamp=t) for t in range(64)], end=40_500)
    averages = [e.value & 0xFFFF for e in out if isinstance(e, ReadoutValue)]
    assert averages == [64 // window] * window + [0] * (40 - window)


def test_the_slow_clock_refuses_what_the_board_cannot_make() -> None:
    board = bench(relays(2))
    board.kit.get_io_module().set_slow_clk(True)
    with pytest.raises(ValueError, match="slow clock"):
        board.kit.get_io_module().set_slow_clk_rate(20_000)


def test_the_internal_slow_clock_ticks_once_in_so_many_pixel_events() -> None:
    config = relays(2, leak_enable=True, leak_internal_slow_clk_enable=True, biases=[1])
    board = bench(config)
    board.play(*(DvsEvent(timestamp=n // 10) for n in range(3 << 14)), end=10_000)
    assert board.membrane(2) == 3


def test_the_power_monitor_shows_the_published_idle_power_and_more_while_working() -> None:
    """sinabs docs/speck/notebooks/power_monitoring.ipynb: 61.7, 51.7, 367.0, 78.9 and 610.9 µW on a Speck2f kit."""
    config = SpeckConfiguration()
    set_core(config, 5, np.full((1024, 1, 1, 1), 1), (1, 1, 1), high=32767)
    board = bench(config)
    monitor = board.kit.get_power_monitor()
    samples = board.module.graph.sink_from(monitor.get_source_node())
    monitor.start_auto_power_measurement(100.0)
    board.play(end=1_000_000)
    idle = samples.get_events()
    assert len(idle) == 100 * 5
    for channel, microwatts in enumerate((61.7, 51.7, 367.0, 78.9, 610.9)):
        values = [s.value for s in idle if s.channel == channel]
        assert np.mean(values) == pytest.approx(microwatts * 1e-6, rel=1e-3)
    board.play(*[Spike(5, timestamp=t) for t in range(1_000_000, 1_900_000, 100)], end=2_000_000)
    busy = samples.get_events()
    assert sum(s.value for s in busy) > 1.05 * sum(s.value for s in idle)
    monitor.stop_auto_power_measurement()
    board.play(end=3_000_000)
    assert samples.get_events() == []


def test_the_power_monitor_refuses_more_than_100_samples_a_second() -> None:
    with pytest.raises(ValueError, match="at most 100 Hz"):
        bench(relays(2)).kit.get_power_monitor().start_auto_power_measurement(200.0)
