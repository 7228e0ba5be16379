import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { afterEach, describe, it } from 'node:test'
import {
  type HealthListenerOptions,
  type HealthSource,
  MAX_CONNECTIONS,
  startHealthListener,
} from '../../../../node/observe/health-listener.ts'
import { createMetrics } from '../../../../node/observe/metrics/metrics.ts'
import type { Fields } from '../../../../protocols/port.ts'
import { ask, createSource, until } from './debug/debug-client.ts'

const withHealth = async (
  test: (url: string, mesh: ReturnType<typeof createSource>, logged: [string, Fields | undefined][]) => Promise<void>,
  { source, ...options }: Partial<HealthListenerOptions> & { source?: Partial<HealthSource> } = {},
): Promise<void> => {
  const mesh = createSource()
  const logged: [string, Fields | undefined][] = []
  const put = (message: string, fields?: Fields) => logged.push([message, fields])
  const log = { error: put, warn: put, info: put }
  const { url, close } = await startHealthListener(
    { ...mesh.source, ...source },
    { host: '127.0.0.1', port: 0, log, ...options },
  )
  try {
    await test(url, mesh, logged)
  } finally {
    await close()
  }
}

const sockets: Socket[] = []

/** A connection on which `text` was sent, and nothing follows. */
const hold = async (url: string, text = ''): Promise<Socket> => {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  socket.on('error', () => {})
  sockets.push(socket)
  await once(socket, 'connect')
  socket.write(text)
  return socket
}

describe('the health listener', () => {
  // What is not read is not seen to end.
  afterEach(() => {
    for (const socket of sockets.splice(0)) socket.destroy()
  })

  it('tells that the process lives, whether it is ready and why not, and its metrics', async () => {
    await withHealth(async (url, mesh) => {
      const alive = await ask(`${url}/healthz`)
      assert.deepEqual([alive.status, alive.json()], [200, { status: 'ok' }])
      const ready = await ask(`${url}/readyz?verbose`)
      assert.deepEqual([ready.status, ready.json()], [200, { ready: true, reasons: [] }])
      mesh.state.readiness = { ready: false, reasons: ['no member of the mesh is connected'] }
      const waiting = await ask(`${url}/readyz`)
      assert.deepEqual([waiting.status, waiting.json()], [503, mesh.state.readiness])
      const { status, headers, body } = await ask(`${url}/metrics`)
      assert.deepEqual([status, body], [200, '# TYPE up gauge\nup 1\n'])
      assert.equal(headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8')
    })
  })

  it('answers probes and scrapers by any Host, and also those of HTTP/1.0, which send none', async () => {
    await withHealth(async (url) => {
      for (const host of ['10.0.0.7:8091', 'parley-seed-0.parley-seed.parley.svc', 'evil.example'])
        assert.equal((await ask(`${url}/healthz`, { headers: { host } })).status, 200, host)
      const socket = await hold(url, 'GET /readyz HTTP/1.0\r\n\r\n')
      assert.match(String(await once(socket, 'data')), /^HTTP\/1\.1 200 OK\r\n/)
    })
  })

  it('has nothing of the debug endpoint, and changes nothing', async () => {
    const metrics = createMetrics()
    const shown = async (url: string): Promise<void> => {
      for (const path of [
        '/',
        '/api/self',
        '/api/agents',
        '/api/events',
        '/api/dlq',
        '/openapi.json',
        '/healthz/',
        '/%2e',
      ])
        assert.equal((await ask(url + path)).status, 404, path)
      for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) {
        const { status, headers } = await ask(`${url}/metrics`, { method, body: method === 'POST' ? 'x' : '' })
        assert.deepEqual([status, headers.allow], [405, 'GET, HEAD'])
      }
      const { status, body, headers } = await ask(`${url}/readyz`, { method: 'HEAD' })
      assert.deepEqual([status, body, headers['cache-control']], [200, '', 'no-store'])
    }
    await withHealth(shown, { metrics })
    const text = await metrics.exposition()
    assert.match(text, /^health_refused_total\{reason="path"\} 8$/m)
    assert.match(text, /^health_refused_total\{reason="method"\} 4$/m)
  })

  it('shows only fields that are documented', async () => {
    const leak = { readiness: () => ({ ready: true, reasons: [], secret: 's3cr3t' }) }
    await withHealth(async (url) => assert.doesNotMatch((await ask(`${url}/readyz`)).body, /s3cr3t/), { source: leak })
  })

  it('answers 500 with a fixed text where the metrics cannot be read, and asks again the next time', async () => {
    let fails = true
    const metrics = () => (fails ? Promise.reject(new Error('internal detail')) : Promise.resolve('a 1\n'))
    await withHealth(
      async (url, _mesh, logged) => {
        const { status, body } = await ask(`${url}/metrics`)
        assert.equal(status, 500)
        assert.doesNotMatch(body, /internal detail/)
        assert.match(String(logged.at(-1)?.[1]?.error), /internal detail/)
        fails = false
        assert.equal((await ask(`${url}/metrics`)).body, 'a 1\n')
      },
      { source: { metrics } },
    )
  })

  it('reads the metrics once for all who ask at the same time', async () => {
    const given = Promise.withResolvers<string>()
    let reads = 0
    const metrics = () => {
      reads += 1
      return given.promise
    }
    await withHealth(
      async (url) => {
        const asked = Array.from({ length: 5 }, () => hold(url, 'GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n'))
        const asking = await Promise.all(asked)
        await until(async () => (await ask(`${url}/healthz`)).status === 200 && reads > 0, 'a scrape is under way')
        const answers = asking.map((socket) => once(socket, 'data'))
        given.resolve('a 1\n')
        for (const answer of await Promise.all(answers)) assert.match(String(answer), /a 1\n$/)
        assert.equal(reads, 1)
      },
      { source: { metrics } },
    )
  })

  it('is not starved by connections that are only held open, silent or in the middle of a request', async () => {
    const metrics = createMetrics()
    const starved = async (url: string): Promise<void> => {
      const texts = [
        '',
        'GET /healthz HTTP/1.1\r\nHost: ',
        'POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n',
      ]
      const held = []
      for (let i = 0; i < MAX_CONNECTIONS; i += 1) held.push(await hold(url, texts[i % texts.length]))
      const closed = new Set<Socket>()
      for (const socket of held) socket.on('close', () => closed.add(socket))
      for (let i = 0; i < 3; i += 1) assert.equal((await ask(`${url}/healthz`)).status, 200)
      await until(() => closed.size >= 1, 'the oldest is closed')
      assert.ok(closed.size <= 3)
      assert.ok(closed.has(held[0] ?? assert.fail()), 'the oldest one first')
    }
    await withHealth(starved, { metrics })
    assert.match(await metrics.exposition(), /^health_refused_total\{reason="connections"\} [1-3]$/m)
  })

  it('cuts a connection on which nothing moves', async () => {
    await withHealth(
      async (url) => {
        const socket = await hold(url)
        await until(() => socket.closed, 'it is cut')
      },
      { idleMs: 50 },
    )
  })

  it('says whose port is taken', async () => {
    const other = createServer()
    other.listen(0, '127.0.0.1')
    await once(other, 'listening')
    const address = other.address()
    assert.ok(typeof address === 'object' && address !== null)
    const { port } = address
    await assert.rejects(startHealthListener(createSource().source, { host: '127.0.0.1', port }), {
      code: 'STA003',
      message: `the health port ${port} on 127.0.0.1 is taken by another program`,
    })
    other.close()
  })
})
