import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { startDebugServer } from '../../../../../../node/observe/debug/debug-server.ts'
import { type Answer, type Ask, ask, createSource } from '../debug-client.ts'

const KEY = 'a-key-of-this-node'
const ID = '0lc5xq0a0010'
const WITH_KEY = { authorization: `Bearer ${KEY}` }

const withEndpoint = async (
  test: (
    to: (path: string, options?: Ask) => Promise<Answer>,
    mesh: ReturnType<typeof createSource>,
    refusals: unknown[],
  ) => Promise<void>,
  key: string | undefined = KEY,
): Promise<void> => {
  const mesh = createSource()
  const refusals: unknown[] = []
  const metrics = {
    counter: (name: string) => (labels?: Record<string, string>) => {
      if (name === 'debug_refused_total') refusals.push(labels?.reason)
    },
    gauge() {},
  }
  const endpoint = await startDebugServer(mesh.source, { metrics, ...(key !== '' && { key }) })
  try {
    await test((path, options) => ask(endpoint.url + path, options), mesh, refusals)
  } finally {
    await endpoint.close()
  }
}

describe('durable messages on the debug endpoint', () => {
  it('shows figures, dead letters, conversations and the inbox to anybody, without what messages say', async () => {
    await withEndpoint(async (to, { messages }) => {
      assert.deepEqual((await to('/api/delivery')).json(), messages.delivery())
      const letters = (await to('/api/dlq')).json()
      assert.deepEqual(letters, { messages: 1, bytes: 180, ...(await messages.deadLetters({})) })
      assert.deepEqual((await to('/api/dlq?type=other')).json().letters, [])
      assert.deepEqual((await to('/api/conversations')).json(), messages.conversations(undefined))
      assert.deepEqual((await to('/api/inbox')).json(), await messages.inbox({}))
      for (const path of [`/api/dlq/${ID}`, '/api/conversations/c1']) {
        const hidden = await to(path)
        assert.equal(hidden.status, 200)
        assert.equal(hidden.json().isHidden, true)
        assert.doesNotMatch(hidden.body, /content|tenant/)
      }
    })
  })

  it('searches dead letters, tells where to go on, and says how many there are of each kind', async () => {
    await withEndpoint(async (to, { messages }) => {
      const found = (await to('/api/dlq?text=handler&code=APP001')).json()
      assert.deepEqual([found.next, (found.letters as unknown[]).length], [ID, 1])
      for (const query of ['text=nothing', 'code=COM001', `after=${ID}`])
        assert.deepEqual((await to(`/api/dlq?${query}`)).json().letters, [], query)
      assert.equal((await to(`/api/dlq?text=${'x'.repeat(256)}`)).status, 200)
      assert.equal((await to(`/api/dlq?text=${'x'.repeat(257)}`)).status, 400)
      for (const by of ['code', 'type', 'destination'] as const)
        assert.deepEqual((await to(`/api/dlq/groups?by=${by}`)).json(), await messages.letterGroups(by))
      for (const query of ['?by=', '?by=data']) assert.equal((await to(`/api/dlq/groups${query}`)).status, 400, query)
      assert.equal((await to('/api/dlq/groups', { method: 'DELETE', headers: WITH_KEY })).status, 405)
      assert.deepEqual(messages.changes, [])
    })
  })

  it('shows what messages say to who shows the key', async () => {
    await withEndpoint(async (to) => {
      const shown = (await to(`/api/dlq/${ID}`, { headers: WITH_KEY })).json()
      assert.deepEqual([shown.data, shown.headers, shown.isHidden], [{ n: 'content' }, { tenant: 'x' }, undefined])
      assert.match((await to('/api/conversations/c1', { headers: WITH_KEY })).body, /"data":\{"n":"content"\}/)
    })
  })

  it('sends dead letters again and purges them for who shows the key', async () => {
    await withEndpoint(async (to, { messages }) => {
      const post = await to(`/api/dlq/${ID}/retry?to=peer-c`, { method: 'POST', headers: WITH_KEY })
      const one = await to(`/api/dlq/${ID}`, { method: 'DELETE', headers: WITH_KEY })
      const all = await to('/api/dlq', { method: 'DELETE', headers: WITH_KEY })
      assert.deepEqual([post.json(), one.json(), all.json()], [{ retried: 1 }, { purged: 1 }, { purged: 1 }])
      assert.deepEqual(messages.changes, [`retry ${ID} peer-c`, `purge ${ID}`, 'purge all'])
    })
  })

  it('changes nothing without the key, with another one, or where there is none', async () => {
    const tries: [string, Record<string, string>][] = [
      ['no key', {}],
      ['another key', { authorization: `Bearer ${KEY}x` }],
      ['a prefix', { authorization: `Bearer ${KEY.slice(1)}` }],
      ['another scheme', { authorization: `Basic ${KEY}` }],
      ['nothing', { authorization: 'Bearer ' }],
    ]
    await withEndpoint(async (to, { messages }, refusals) => {
      for (const [what, headers] of tries) {
        const answer = await to('/api/dlq', { method: 'DELETE', headers })
        assert.deepEqual([answer.status, answer.headers['www-authenticate']], [401, 'Bearer'], what)
      }
      assert.deepEqual(messages.changes, [])
      assert.deepEqual(
        refusals,
        tries.map(() => 'key'),
      )
    })
    await withEndpoint(async (to, { messages }) => {
      for (const authorization of ['Bearer undefined', `Bearer ${KEY}`, 'Bearer '])
        assert.equal((await to('/api/dlq', { method: 'DELETE', headers: { authorization } })).status, 401)
      assert.deepEqual(messages.changes, [])
    }, '')
  })

  it('changes nothing for a web page of another origin or under another name, even with the key', async () => {
    await withEndpoint(async (to, { messages }, refusals) => {
      const origins = ['http://evil.example', 'null', 'https://127.0.0.1', 'http://127.0.0.1:1']
      for (const origin of origins)
        assert.equal((await to('/api/dlq', { method: 'DELETE', headers: { ...WITH_KEY, origin } })).status, 403, origin)
      for (const site of ['cross-site', 'same-site']) {
        const headers = { ...WITH_KEY, 'sec-fetch-site': site }
        assert.equal((await to(`/api/dlq/${ID}/retry`, { method: 'POST', headers })).status, 403, site)
      }
      const rebound = await to('/api/dlq', { method: 'DELETE', headers: { ...WITH_KEY, host: 'evil.example' } })
      assert.equal(rebound.status, 403)
      assert.deepEqual(messages.changes, [])
      assert.deepEqual(refusals, [...new Array(6).fill('origin'), 'host'])
    })
  })

  it('lets a page of its own origin change something', async () => {
    await withEndpoint(async (to, { messages }) => {
      const host = '127.0.0.1:8090'
      const headers = { ...WITH_KEY, host, origin: `http://${host}`, 'sec-fetch-site': 'same-origin' }
      assert.equal((await to(`/api/dlq/${ID}`, { method: 'DELETE', headers })).status, 200)
      assert.deepEqual(messages.changes, [`purge ${ID}`])
    })
  })

  it('answers with the code of what went wrong, and refuses queries and methods that it does not know', async () => {
    await withEndpoint(async (to) => {
      const none = await to('/api/dlq/nothing')
      assert.deepEqual([none.status, none.json().code], [404, 'STA001'])
      assert.equal((await to('/api/conversations/nothing')).status, 404)
      for (const limit of ['0', '1001', 'x', '1.5'])
        assert.equal((await to(`/api/dlq?limit=${limit}`)).status, 400, limit)
      for (const limit of ['1', '1000']) assert.equal((await to(`/api/dlq?limit=${limit}`)).status, 200, limit)
      const put = await to('/api/dlq', { method: 'PUT', headers: WITH_KEY })
      assert.deepEqual([put.status, put.headers.allow], [405, 'GET, HEAD, DELETE'])
      const get = await to(`/api/dlq/${ID}/retry`)
      assert.deepEqual([get.status, get.headers.allow], [405, 'POST'])
      assert.equal((await to('/api/dlq', { method: 'HEAD' })).status, 200)
      assert.match((await to('/api/nothing')).body, /\/api\/dlq\/<id>\/retry/)
    })
  })

  it('tells of dead letters in the event stream', async () => {
    const { DebugEventSchema } = await import('../../../../../../node/observe/debug/debug-schemas.ts')
    const event = {
      type: 'dead-letter',
      at: 1,
      id: ID,
      messageType: 'a',
      destination: 'b',
      code: 'APP001',
      isCall: false,
    }
    assert.deepEqual(DebugEventSchema.parse({ ...event, data: 'content' }), event)
  })
})
