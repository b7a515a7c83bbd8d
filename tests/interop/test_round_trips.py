"""The round trips of a login, counted by its duration if the server's data arrive late."""

import asyncio
import unittest

import world

# One round trip. The computation of a login takes a small part of that.
DELAY_MS = 300


class RoundTrips(world.Test, unittest.IsolatedAsyncioTestCase):
    """The relay does not delay TCP's handshake, which is one more round trip for each connection."""

    async def serve(self, to):
        """Starts a relay to that port, and returns its own. It delays the server's data, not the client's."""
        self.connections = []

        async def relay(reader, writer):
            self.connections.append(asyncio.current_task())
            from_server, to_server = await asyncio.open_connection("127.0.0.1", to)
            await asyncio.gather(pump(reader, to_server, 0), pump(from_server, writer, DELAY_MS / 1000))

        async def pump(reader, writer, delay):
            while data := await reader.read(65536):
                asyncio.get_running_loop().call_later(delay, writer.write, data)
            await asyncio.sleep(delay)
            writer.close()

        async def stop():
            server.close()
            await asyncio.gather(*self.connections)

        server = await asyncio.start_server(relay, "127.0.0.1", 0)
        self.addAsyncCleanup(stop)
        return server.sockets[0].getsockname()[1]

    async def assert_takes(self, trips, call):
        result = await asyncio.to_thread(call)
        self.assertEqual(result.code, "CD_OK", result)
        self.assertEqual(result.ms // DELAY_MS, trips, f"{result.ms} ms")

    def probe_for(self, scheme, port):
        return self.world.probe(base_url=f"{scheme}://127.0.0.1:{port}", ca_file=self.world.ecdsa.root)

    async def test_login_over_tls_takes_3_and_the_next_1(self):
        port = await self.serve(self.world.service.port)
        with self.probe_for("https", port) as library:
            # The handshake and the request.
            await self.assert_takes(2, library.login)
            await self.assert_takes(1, library.login)
        self.assertEqual(len(self.connections), 1)

    async def test_login_over_tls_after_connect_takes_1(self):
        port = await self.serve(self.world.service.port)
        with self.probe_for("https", port) as library:
            await self.assert_takes(1, library.connect)
            await self.assert_takes(1, library.login)
        self.assertEqual(len(self.connections), 1)

    async def test_login_over_http_takes_2_and_the_next_1(self):
        port = await self.serve(self.world.plain.port)
        with self.probe_for("http", port) as library:
            await self.assert_takes(1, library.login)
            await self.assert_takes(1, library.login)
        self.assertEqual(len(self.connections), 1)
