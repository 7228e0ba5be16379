import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { startDebugServer } from '../../../../../../node/observe/debug/debug-server.ts'
import { type HttpMethod, OPERATIONS, SCHEMAS } from '../../../../../../node/observe/debug/routes/debug-operations.ts'
import { createDebugRoutes } from '../../../../../../node/observe/debug/routes/debug-routes.ts'
import { openApi } from '../../../../../../node/observe/debug/routes/openapi.ts'
import { ask, createSource } from '../debug-client.ts'

type Json = Record<string, unknown>
const description = openApi('1.2.3') as {
  openapi: string
  info: Json
  paths: Record<string, Record<string, { operationId: string; responses: Record<string, Json>; parameters?: Json[] }>>
  components: { schemas: Json; securitySchemes: Json }
}

const KEY = 'a-key-of-this-node'
const METHODS: HttpMethod[] = ['GET', 'POST', 'DELETE']
const NAMES: Record<string, string> = { '/api/agents/{id}': 'peer-b', '/api/conversations/{id}': 'c1' }
const QUERIES: Record<string, string> = { '/api/parts/view': '?part=acme/tally&view=counts' }
const concrete = (path: string): string => path.replace('{id}', NAMES[path] ?? '0lc5xq0a0010') + (QUERIES[path] ?? '')

/** Each object and array below. */
const walk = (value: unknown, visit: (node: Json, path: string) => void, path = '#'): void => {
  if (typeof value !== 'object' || value === null) return
  if (!Array.isArray(value)) visit(value as Json, path)
  for (const [key, next] of Object.entries(value)) walk(next, visit, `${path}/${key}`)
}

const resolve = (ref: string): unknown =>
  ref
    .replace(/^#\//, '')
    .split('/')
    .reduce<unknown>((at, key) => (at as Json | undefined)?.[key], description)

describe('the description of the debug endpoint', () => {
  it('has every route of the endpoint, and no other', () => {
    const routes = createDebugRoutes({
      source: createSource().source,
      events: { open: () => undefined, close() {} },
      host: '127.0.0.1',
      key: undefined,
      log: undefined,
      refused: () => {},
    }).routes.map(({ path }) => path.replace(':id', '{id}'))
    const served = new Set(routes.filter((path) => path !== '/*'))
    assert.deepEqual([...served].sort(), Object.keys(description.paths).sort())
  })

  it('has exactly the methods that are answered', async () => {
    const { url, close } = await startDebugServer(createSource().source, { key: KEY })
    try {
      for (const [path, operations] of Object.entries(OPERATIONS)) {
        for (const method of METHODS) {
          const { status, headers } = await ask(url + concrete(path), { method: method === 'GET' ? 'HEAD' : method })
          const isKnown = operations[method] !== undefined
          assert.equal(status === 405, !isKnown, `${method} ${path} answered ${status}`)
          if (isKnown) continue
          for (const known of Object.keys(operations)) assert.match(String(headers.allow), new RegExp(known), path)
        }
      }
    } finally {
      await close()
    }
  })

  it('names the schema and the media type of what each path answers', async () => {
    const { url, close } = await startDebugServer(createSource().source, { key: KEY })
    try {
      for (const [path, { GET }] of Object.entries(OPERATIONS)) {
        if (GET === undefined || path === '/api/events') continue
        const { status, headers, body } = await ask(url + concrete(path), {
          headers: { authorization: `Bearer ${KEY}` },
        })
        assert.equal(status, 200, path)
        const type = typeof GET.answer === 'string' ? 'application/json' : GET.answer.type
        assert.ok(String(headers['content-type']).startsWith(type), `${path} is ${headers['content-type']}`)
        if (typeof GET.answer !== 'string') continue
        const schema = SCHEMAS[GET.answer]
        const value: unknown = JSON.parse(body)
        assert.deepEqual(schema.parse(value), value, path)
      }
    } finally {
      await close()
    }
  })

  it('is served as it is, with the version of this software', async () => {
    const { url, close } = await startDebugServer(createSource().source)
    try {
      const { status, json } = await ask(`${url}/openapi.json`)
      assert.equal(status, 200)
      const { openapi, info, paths } = json() as unknown as typeof description
      assert.equal(openapi, '3.1.1')
      assert.match(String(info.version), /^\d+\.\d+\.\d+/)
      assert.deepEqual(Object.keys(paths), Object.keys(description.paths))
    } finally {
      await close()
    }
  })

  it('resolves: each reference leads somewhere, each schema is of a kind, no id is given twice', () => {
    let references = 0
    walk(description, ({ $ref }, path) => {
      if ($ref === undefined) return
      references += 1
      assert.equal(typeof resolve(String($ref)), 'object', `${path} leads to ${$ref}, which is not there`)
    })
    assert.ok(references > 30)
    walk(description.components.schemas, ({ type, properties, required }, path) => {
      if (type === 'object' && properties !== undefined && typeof properties === 'object' && properties !== null)
        for (const name of (required as string[] | undefined) ?? [])
          assert.ok(Object.hasOwn(properties, name), `${path} requires ${name}, which it does not have`)
    })
    const ids = Object.values(description.paths).flatMap((one) =>
      Object.values(one).map(({ operationId }) => operationId),
    )
    assert.equal(new Set(ids).size, ids.length)
    for (const id of ids) assert.match(id, /^[a-z]+(_[A-Za-z]+)*$/)
  })

  it('tells what can go wrong as problem details, and every name in a path as a parameter', () => {
    for (const [path, operations] of Object.entries(description.paths)) {
      for (const { responses, parameters = [] } of Object.values(operations)) {
        assert.ok(responses['200'] !== undefined)
        for (const status of Object.keys(responses)) assert.match(status, /^[2-5]\d\d$/)
        const named = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name)
        assert.deepEqual(
          parameters.filter(({ in: place }) => place === 'path').map(({ name, required }) => [name, required]),
          named.map((name) => [name, true]),
        )
      }
    }
  })
})
