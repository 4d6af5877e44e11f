"""`spif://host:port` as a place to play to: address events in datagrams, to SPIF, AEStream or another nrt."""

from __future__ import annotations

import socket
from collections.abc import Mapping

from nrt.errors import ConfigError, StreamError
from nrt.live.aer import AerEncoder, spif
from nrt.packet import Packet, events_from_array
from nrt.record.sink import Sink
from nrt.registry import Uri, option_names, options_for
from nrt.source import Source


class AerSink(Sink):
    """Sends the events of every packet when it comes, in datagrams of at most `whole` events.

    times: whether each event carries its time, which AEStream can read and SPIF cannot
    whole: events in a datagram; AEStream sends 128, or 32 with times; SPIF takes at most 256 words
    """

    queue = 4 << 20

    def __init__(self, uri: Uri, *, times: bool = False, whole: int = 128) -> None:
        host, colon, port = uri.place.rpartition(":")
        if not (colon and host and port.isdecimal() and 0 < int(port) < 65536):
            raise ConfigError(f"{uri}: write the address as spif://host:port")
        most = spif().limit("events_per_datagram") // (2 if times else 1)
        if not 0 < whole <= most:
            raise ConfigError(f"{uri}: whole is {whole}; a datagram takes 1 to {most} events")
        self.address = f"spif://{host}:{port}"
        self._encoder = AerEncoder(times=times, whole=whole)
        self._limit = spif().limit("coordinate")
        try:
            family, kind, _, _, target = socket.getaddrinfo(
                host.strip("[]"), int(port), type=socket.SOCK_DGRAM
            )[0]
        except OSError as error:
            raise StreamError(f"{self.address}: {error.strerror or error}") from error
        self._socket = socket.socket(family, kind)
        self._target = target
        self._refused = 0

    @classmethod
    def make(cls, text: str) -> AerSink:
        """The sink that a URI names. Raises ConfigError, StreamError."""
        uri = Uri.parse(text)
        known = option_names(cls)
        for name in uri.options:
            if name not in known:
                raise ConfigError(f"spif: has no option '{name}' to play to; there is {', '.join(known)}")
        return cls(uri, **options_for(cls, uri))

    def open(self, source: Source) -> None:
        if source.shape is not None and max(source.shape[1:]) - 1 > self._limit:
            raise ConfigError(
                f"{source.uri} is {source.shape[2]} x {source.shape[1]} pixels, too large for SPIF's words"
            )

    def take(self, packet: Packet) -> None:
        for datagram in self._encoder.encode(events_from_array(packet.data)):
            try:
                self.size += self._socket.sendto(datagram, self._target)
            except ConnectionRefusedError:  # nobody listens yet; the kernel says so of a datagram before
                self._refused += 1
            except OSError as error:
                raise StreamError(f"{self.address}: {error.strerror or error}") from error

    def close(self) -> None:
        self._socket.close()

    def counters(self) -> Mapping[str, int]:
        return {"datagrams refused": self._refused} if self._refused else {}
