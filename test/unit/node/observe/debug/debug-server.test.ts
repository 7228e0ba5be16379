import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { describe, it } from 'node:test'
import { MAX_CONNECTIONS, startDebugServer } from '../../../../../node/observe/debug/debug-server.ts'
import { createMetrics } from '../../../../../node/observe/metrics/metrics.ts'
import type { Fields } from '../../../../../protocols/port.ts'
import { ask, createSource, received, until, watch } from './debug-client.ts'

const open = async (url: string, text = ''): Promise<Socket> => {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname.replace(/[[\]]/g, ''))
  socket.on('error', () => {})
  await once(socket, 'connect')
  socket.write(text)
  return socket
}

describe('the server of the debug endpoint', () => {
  it('listens on a free port of IPv4 loopback unless told otherwise', async () => {
    const one = await startDebugServer(createSource().source)
    const two = await startDebugServer(createSource().source)
    assert.match(one.url, /^http:\/\/127\.0\.0\.1:[1-9]\d*$/)
    assert.notEqual(one.url, two.url)
    assert.equal((await ask(`${two.url}/healthz`)).status, 200)
    await Promise.all([one.close(), two.close()])
  })

  it('works on IPv6 loopback', async () => {
    const { source, emit } = createSource()
    const { url, close } = await startDebugServer(source, { host: '::1' })
    assert.match(url, /^http:\/\/\[::1\]:\d+$/)
    assert.equal((await ask(`${url}/api/self`)).status, 200)
    const stream = await watch(`${url}/api/events`)
    emit(received(1))
    assert.equal((await stream.take(1)).length, 1)
    stream.close()
    await close()
  })

  it('is reached on loopback when it listens everywhere, and warns of it', async () => {
    const warned: Fields[] = []
    const log = { error() {}, info() {}, warn: (_message: string, fields?: Fields) => warned.push(fields ?? {}) }
    for (const [host, shown] of [
      ['0.0.0.0', /^http:\/\/127\.0\.0\.1:\d+$/],
      ['::', /^http:\/\/\[::1\]:\d+$/],
    ] as const) {
      const { url, close } = await startDebugServer(createSource().source, { host, log })
      assert.match(url, shown)
      assert.equal((await ask(`${url}/api/self`)).status, 200)
      await close()
    }
    const quiet = await startDebugServer(createSource().source, { host: 'localhost', log })
    await quiet.close()
    assert.deepEqual(warned, [{ host: '0.0.0.0' }, { host: '::' }])
  })

  it('says so when the port is taken, and lets go of the mesh', async () => {
    const other = createServer()
    other.listen(0, '127.0.0.1')
    await once(other, 'listening')
    const address = other.address()
    assert.ok(typeof address === 'object' && address !== null)
    const { source, listeners } = createSource()
    await assert.rejects(startDebugServer(source, { port: address.port }), (error: unknown) => {
      assert.ok(error instanceof Error && 'code' in error && 'hint' in error)
      assert.equal(error.code, 'STA003')
      assert.equal(error.message, `the debug port ${address.port} on 127.0.0.1 is taken by another program`)
      assert.match(String(error.hint), /another port, or 0/)
      return true
    })
    assert.equal(listeners.size, 0)
    other.close()
  })

  it('takes a free port where it may, when the one that it was told is taken, and says which', async () => {
    const other = createServer()
    other.listen(0, '127.0.0.1')
    await once(other, 'listening')
    const address = other.address()
    assert.ok(typeof address === 'object' && address !== null)
    const warned: [string, Fields | undefined][] = []
    const log = { error() {}, info() {}, warn: (message: string, fields?: Fields) => warned.push([message, fields]) }
    const { source } = createSource()
    const { url, close } = await startDebugServer(source, { port: address.port, orAnyPort: true, log })
    assert.notEqual(new URL(url).port, String(address.port))
    assert.equal((await ask(`${url}/healthz`)).status, 200)
    assert.equal(warned.length, 1)
    assert.match(warned[0]?.[0] ?? '', new RegExp(`port ${address.port} is taken`))
    assert.deepEqual(warned[0]?.[1], { url })
    await close()
    // Only a taken port has another in its place.
    await assert.rejects(startDebugServer(source, { host: '192.0.2.1', orAnyPort: true }), { code: 'COM002' })
    other.close()
  })

  it('refuses an address that this machine does not have, and ports that are none', async () => {
    const { source } = createSource()
    await assert.rejects(startDebugServer(source, { host: '192.0.2.1' }), { code: 'COM002', message: /192\.0\.2\.1/ })
    for (const port of [-1, 65_536, 1.5, Number.NaN]) {
      await assert.rejects(startDebugServer(source, { port }), { code: 'MSG001', message: new RegExp(String(port)) })
    }
  })

  it("leaves the process's own Request and Response alone", async () => {
    const before = [globalThis.Request, globalThis.Response]
    const { url, close } = await startDebugServer(createSource().source)
    await ask(`${url}/healthz`)
    await close()
    assert.deepEqual([globalThis.Request, globalThis.Response], before)
  })

  it('ends event streams and closes within a second, whoever is connected', async () => {
    const { source, emit, listeners } = createSource()
    const { url, close } = await startDebugServer(source)
    const stream = await watch(`${url}/api/events`)
    await stream.next()
    const stalled = await watch(`${url}/api/events`)
    const idle = await open(url, 'GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n')
    const half = await open(url, 'GET /healthz HTTP/1.1\r\nHost: ')
    await once(idle, 'data')
    // More than a client that does not read can be sent.
    for (let i = 1; i <= 500; i++) emit(received(i, 'x'.repeat(8000)))
    await stream.take(1)
    const closed = [once(idle, 'close'), once(half, 'close')]
    const startedAt = performance.now()
    const [first] = await Promise.all([close(), close(), ...closed])
    const tookMs = performance.now() - startedAt
    assert.equal(first, undefined)
    assert.ok(tookMs < 1000, `closing took ${tookMs} ms`)
    assert.equal(listeners.size, 0, 'it no longer listens to the mesh')
    await assert.rejects(ask(`${url}/healthz`), { code: 'ECONNREFUSED' })
    const again = await startDebugServer(source, { port: Number(new URL(url).port) })
    assert.equal(again.url, url)
    await again.close()
    stream.close()
    stalled.close()
  })

  it('ends an idle event stream cleanly', async () => {
    const { url, close } = await startDebugServer(createSource().source)
    const stream = await watch(`${url}/api/events`)
    await stream.next()
    const [end] = await Promise.all([stream.next(), close()])
    assert.equal(end, undefined)
  })

  it('cuts an event stream that nobody reads, and keeps one that is read', { timeout: 30_000 }, async () => {
    const { source, emit } = createSource()
    const metrics = createMetrics()
    const { url, close } = await startDebugServer(source, { metrics, heartbeatMs: 20, idleMs: 1000 })
    const unread = await watch(`${url}/api/events`)
    const read = await watch(`${url}/api/events`)
    await read.next()
    const streams = async (): Promise<number> =>
      Number(/^debug_event_streams (\d+)$/m.exec(await metrics.exposition())?.[1])
    assert.equal(await streams(), 2)
    let rounds = 0
    await until(async () => {
      for (let i = 1; i <= 100; i++) emit(received(i, 'x'.repeat(8000)))
      await read.take(100)
      rounds += 1
      return (await streams()) === 1
    }, 'the stream that nobody reads is cut')
    assert.ok(rounds > 1)
    emit(received(7))
    assert.equal((await read.take(1)).length, 1)
    unread.close()
    read.close()
    await close()
  })

  it('takes 128 connections, and for one more closes the one that asked for nothing for longest', async () => {
    const metrics = createMetrics()
    const { url, close } = await startDebugServer(createSource().source, { metrics })
    // Read all the time, and so no place that is held for nothing.
    const stream = await watch(`${url}/api/events`)
    await stream.next()
    const sockets: Socket[] = []
    while (sockets.length < MAX_CONNECTIONS - 1) sockets.push(await open(url))
    const closed = new Set<Socket>()
    for (const socket of sockets) socket.on('close', () => closed.add(socket))
    const [first = assert.fail(), second = assert.fail()] = sockets
    first.write('GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n')
    assert.match(String(await once(first, 'data')), /200 OK/)
    assert.equal(closed.size, 0)
    assert.equal((await ask(`${url}/healthz`)).status, 200)
    await until(() => closed.size > 0, 'one made room')
    assert.deepEqual([...closed], [second], 'the first one had asked for something since')
    assert.match(await metrics.exposition(), /^debug_refused_total\{reason="connections"\} 1$/m)
    assert.match(await metrics.exposition(), /^debug_event_streams 1$/m)
    stream.close()
    await close()
  })

  it('makes room among busy ones where all are: nobody holds all places by answers that are not read', async () => {
    const never = new Promise<string>(() => {})
    const { url, close } = await startDebugServer({ ...createSource().source, metrics: () => never })
    try {
      const request = 'GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n'
      const closed = new Set<Socket>()
      for (let i = 0; i < MAX_CONNECTIONS; i += 1) {
        const socket = await open(url, request)
        socket.on('close', () => closed.add(socket))
      }
      assert.equal((await ask(`${url}/healthz`)).status, 200)
      await until(() => closed.size === 1, 'one made room')
    } finally {
      await close()
    }
  })
})
