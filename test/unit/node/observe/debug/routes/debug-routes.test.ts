import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { describe, it } from 'node:test'
import type { DebugSource } from '../../../../../../node/observe/debug/debug-schemas.ts'
import { startDebugServer } from '../../../../../../node/observe/debug/debug-server.ts'
import { createMetrics } from '../../../../../../node/observe/metrics/metrics.ts'
import type { Fields } from '../../../../../../protocols/port.ts'
import { type Answer, ask, createSource, watch } from '../debug-client.ts'

const API = ['/api/self', '/api/peers', '/api/agents', '/api/topics', '/api/graph', '/api/breakers']
const ALL = [
  '/healthz',
  '/readyz',
  '/metrics',
  '/openapi.json',
  '/api/overview',
  '/api/agents/peer-b',
  ...API,
  '/api/events',
]

/** Runs `test` against an endpoint of its own. */
const withEndpoint = async (
  test: (url: string, mesh: ReturnType<typeof createSource>, logged: [string, Fields | undefined][]) => Promise<void>,
  change: Partial<DebugSource> = {},
): Promise<void> => {
  const mesh = createSource()
  const logged: [string, Fields | undefined][] = []
  const put = (message: string, fields?: Fields) => logged.push([message, fields])
  const endpoint = await startDebugServer({ ...mesh.source, ...change }, { log: { error: put, warn: put, info: put } })
  try {
    await test(endpoint.url, mesh, logged)
  } finally {
    await endpoint.close()
  }
}

const assertProblem = (answer: Answer, status: number, title: string): void => {
  assert.equal(answer.status, status)
  assert.equal(answer.headers['content-type'], 'application/problem+json')
  const { detail, hint, ...rest } = answer.json()
  assert.deepEqual(rest, { type: 'about:blank', title, status })
  assert.ok(typeof detail === 'string' && detail.length > 10)
  assert.ok(typeof hint === 'string' && hint.length > 5)
}

describe('the debug endpoint', () => {
  it('says that it lives, whatever the state of the mesh', async () => {
    await withEndpoint(async (url, mesh) => {
      mesh.state.readiness = { ready: false, reasons: ['no peer yet'] }
      const answer = await ask(`${url}/healthz`)
      assert.deepEqual([answer.status, answer.json()], [200, { status: 'ok' }])
    })
  })

  it('says whether the mesh is ready, and what it waits for', async () => {
    await withEndpoint(async (url, mesh) => {
      const ready = await ask(`${url}/readyz`)
      assert.deepEqual([ready.status, ready.json()], [200, { ready: true, reasons: [] }])
      mesh.state.readiness = { ready: false, reasons: ['no peer yet', 'directory empty'] }
      const waiting = await ask(`${url}/readyz`)
      assert.deepEqual([waiting.status, waiting.json()], [503, mesh.state.readiness])
    })
  })

  it('passes on the metrics as Prometheus expects them', async () => {
    await withEndpoint(async (url) => {
      const { status, headers, body } = await ask(`${url}/metrics`)
      assert.deepEqual([status, body], [200, '# TYPE up gauge\nup 1\n'])
      assert.equal(headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8')
    })
  })

  it('shows this node, its peers, agents, topics and graph', async () => {
    await withEndpoint(async (url, { source }) => {
      const shown = await Promise.all(API.map(async (path) => (await ask(url + path)).json()))
      assert.deepEqual(shown, [
        source.self(),
        { peers: source.peers() },
        { agents: source.agents() },
        { topics: source.topics() },
        source.graph(),
        { breakers: source.breakers() },
      ])
      assert.equal((await ask(`${url}/api/self`)).headers['content-type'], 'application/json')
    })
  })

  it('shows all of that in one answer, and an agent by its id', async () => {
    await withEndpoint(async (url, { source, messages }) => {
      const { at, ...rest } = (await ask(`${url}/api/overview`)).json()
      assert.ok(typeof at === 'number' && Math.abs(at - Date.now()) < 60_000)
      assert.deepEqual(rest, {
        self: source.self(),
        readiness: { ready: true, reasons: [] },
        peers: source.peers(),
        agents: source.agents(),
        topics: source.topics(),
        graph: source.graph(),
        breakers: source.breakers(),
        delivery: messages.delivery(),
      })
      assert.deepEqual((await ask(`${url}/api/agents/peer-b`)).json(), source.agents()[0])
      const unknown = await ask(`${url}/api/agents/${'x'.repeat(5_000)}`)
      assertProblem(unknown, 404, 'Not Found')
      assert.ok(unknown.body.length < 600)
    })
  })

  it('shows only fields that are documented, so that no secret slips out', async () => {
    const { source } = createSource()
    const leak = { secret: 's3cr3t', token: 's3cr3t' }
    const spoilt = {
      self: () => ({ ...source.self(), ...leak }),
      peers: () => source.peers().map((peer) => ({ ...peer, ...leak })),
      agents: () =>
        source.agents().map((agent) => ({
          ...agent,
          ...leak,
          protocols: agent.protocols.map((protocol) => ({ ...protocol, ...leak })),
        })),
      topics: () => source.topics().map((topic) => ({ ...topic, ...leak })),
      graph: () => ({ ...source.graph(), ...leak, nodes: source.graph().nodes.map((node) => ({ ...node, ...leak })) }),
      readiness: () => ({ ready: true, reasons: [], ...leak }),
    }
    await withEndpoint(async (url, mesh) => {
      for (const path of ['/readyz', ...API]) {
        const { status, body } = await ask(url + path)
        assert.equal(status, 200)
        assert.doesNotMatch(body, /s3cr3t|secret":|token/, path)
      }
      const stream = await watch(`${url}/api/events`)
      const refusal = { type: 'stranger-refused' as const, at: 1, reason: 'wrong secret', ...leak }
      mesh.emit(refusal)
      const [event] = await stream.take(1)
      assert.deepEqual(JSON.parse(event?.data ?? ''), { type: 'stranger-refused', at: 1, reason: 'wrong secret' })
      stream.close()
    }, spoilt)
  })

  it('answers 500 with a fixed text when something cannot be read, and logs the reason', async () => {
    const failing = {
      peers: () => {
        throw new Error('internal detail')
      },
      metrics: () => Promise.reject(new Error('internal detail')),
      agents: () =>
        createSource()
          .source.agents()
          .map((agent) => ({ ...agent, lastHeardMs: Number.NaN })),
    }
    await withEndpoint(async (url, _mesh, logged) => {
      for (const path of ['/api/peers', '/metrics', '/api/agents']) {
        const answer = await ask(url + path)
        assertProblem(answer, 500, 'Internal Server Error')
        assert.doesNotMatch(answer.body, /internal detail|zod/i)
      }
      assert.deepEqual(
        logged.map(([, fields]) => fields?.path),
        ['/api/peers', '/metrics', '/api/agents'],
      )
      assert.equal((await ask(`${url}/healthz`)).status, 200)
    }, failing)
  })

  it('answers 404 for any other path, and says what there is', async () => {
    await withEndpoint(async (url) => {
      for (const path of [
        '/api',
        '/page',
        '/api/secrets',
        '/healthz/',
        '/API/self',
        '/api/../../etc/passwd',
        '/%2e%2e/x',
      ]) {
        const answer = await ask(url + path)
        assertProblem(answer, 404, 'Not Found')
        assert.match(answer.body, /\/api\/peers/)
      }
      const long = await ask(`${url}/${'x'.repeat(8000)}`)
      assert.ok(long.body.length < 1_000, 'a long path is not sent back as a whole')
    })
  })

  it('answers 405 for any method that could change something', async () => {
    await withEndpoint(async (url) => {
      for (const path of ALL) {
        for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
          const answer = await ask(url + path, { method, body: method === 'POST' ? 'x=1' : '' })
          assertProblem(answer, 405, 'Method Not Allowed')
          assert.equal(answer.headers.allow, 'GET, HEAD')
        }
      }
    })
  })

  it('answers HEAD with the headers of GET and no body', async () => {
    await withEndpoint(async (url) => {
      for (const path of ALL) {
        const answer = await ask(url + path, { method: 'HEAD' })
        assert.deepEqual([answer.status, answer.body], [200, ''], path)
      }
    })
  })

  it('sends headers against storing, framing and guessing with every answer, and none for other origins', async () => {
    await withEndpoint(async (url) => {
      const stream = await watch(`${url}/api/events`)
      const answers: { headers: Answer['headers'] }[] = [
        stream,
        ...(await Promise.all([...ALL.slice(0, -1), '/nothing'].map((path) => ask(url + path)))),
        await ask(`${url}/api/self`, { headers: { host: 'evil.example', origin: 'http://evil.example' } }),
        await ask(`${url}/api/self`, { method: 'OPTIONS', headers: { origin: 'http://evil.example' } }),
      ]
      stream.close()
      for (const { headers } of answers) {
        assert.equal(headers['cache-control'], 'no-store')
        assert.equal(headers['x-content-type-options'], 'nosniff')
        assert.match(String(headers['content-security-policy']), /default-src 'none'/)
        assert.equal(headers['cross-origin-resource-policy'], 'same-origin')
        assert.equal(headers['access-control-allow-origin'], undefined)
      }
    })
  })

  it('refuses a Host that is not ours, for health and metrics too', async () => {
    const metrics = createMetrics()
    const { source } = createSource()
    const endpoint = await startDebugServer(source, { metrics })
    const { url } = endpoint
    const { port } = new URL(url)
    for (const path of [...API, '/api/events', '/nothing', '/healthz', '/readyz', '/metrics']) {
      assertProblem(await ask(url + path, { headers: { host: `evil.example:${port}` } }), 403, 'Forbidden')
    }
    for (const host of [`localhost:${port}`, 'localhost', '127.0.0.1', '127.9.9.9:1', '[::1]:80']) {
      assert.equal((await ask(`${url}/api/self`, { headers: { host } })).status, 200, host)
    }
    const text = await metrics.exposition()
    await endpoint.close()
    assert.match(text, /^debug_refused_total\{reason="host"\} 11$/m)
  })

  it('answers 400 or 403, not more, to requests without a usable Host', async () => {
    await withEndpoint(async (url) => {
      const { port, hostname } = new URL(url)
      const raw = (text: string): Promise<string> =>
        new Promise((resolve, reject) => {
          let answer = ''
          const socket = connect(Number(port), hostname, () => socket.end(text))
          socket.setEncoding('utf8').on('data', (data) => {
            answer += data
          })
          socket.on('close', () => resolve(answer)).on('error', reject)
        })
      assert.match(await raw('GET /api/self HTTP/1.0\r\n\r\n'), /^HTTP\/1\.1 400 .*application\/problem\+json/s)
      assert.match(await raw('GET /api/self HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n'), /^HTTP\/1\.1 400 /)
      assert.match(await raw('GET /api/self HTTP/1.1\r\nConnection: close\r\n\r\n'), /^HTTP\/1\.1 400 /)
      assert.match(
        await raw('GET /api/self HTTP/1.1\r\nHost: 127.0.0.1@evil\r\nConnection: close\r\n\r\n'),
        /^HTTP\/1\.1 40[03] /,
      )
      assert.match(await raw('\u0001\u0002 nonsense\r\n\r\n'), /^HTTP\/1\.1 400 /)
      assert.equal((await ask(`${url}/healthz`)).status, 200)
    })
  })
})
