/**
 * The document of the protocol (docs/asyncapi.json): AsyncAPI's own JSON Schema takes it, what it names is there, and messages of
 * tasks that others wrote (test/interop/vectors) are good and bad by it as they are by the code.
 */
import assert from 'node:assert/strict'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { Validator } from '@cfworker/json-schema'
import { decode } from 'cborg'
import * as z from 'zod'
import { ASYNC_API_VERSION } from '../../docs/asyncapi/document.ts'
import {
  BUDGET_VECTORS,
  BYTES_VECTORS,
  PLAN_VECTORS,
  RESOURCE_VECTORS,
  VECTORS,
  WAIT_VECTORS,
} from '../../docs/asyncapi/sections.ts'
import { ASYNC_API, ROOT } from '../../docs/pages.ts'

const readJson = (path: string): unknown => JSON.parse(readFileSync(join(ROOT, path), 'utf8'))
const Ref = z.object({ $ref: z.string() })
const Operation = z.looseObject({
  action: z.enum(['send', 'receive']),
  channel: Ref,
  messages: z.array(Ref).min(1),
  reply: z.object({ channel: Ref, messages: z.array(Ref).min(1) }).optional(),
})
const Proto = z.object({ file: z.string(), message: z.string() })
const Message = z.looseObject({
  payload: z.record(z.string(), z.unknown()),
  'x-proto': Proto.optional(),
  'x-vectors': z.string().optional(),
})
const Document = z.looseObject({
  asyncapi: z.string(),
  channels: z.record(z.string(), z.looseObject({ messages: z.record(z.string(), Ref) })),
  operations: z.record(z.string(), Operation),
  components: z.object({ messages: z.record(z.string(), Message), schemas: z.record(z.string(), z.unknown()) }),
})
const text = readFileSync(join(ROOT, ASYNC_API), 'utf8')
const written = (): z.output<typeof Document> => Document.parse(JSON.parse(text))
const document = written()

const official = z
  .record(z.string(), z.unknown())
  .parse(readJson(`node_modules/@asyncapi/specs/schemas/${ASYNC_API_VERSION}.json`))
const validator = new Validator(official, '7')
const isValid = (one: unknown): boolean => validator.validate(one).valid

describe('the document of the protocol', () => {
  test("is AsyncAPI, by AsyncAPI's own schema", () => {
    assert.equal(document.asyncapi, ASYNC_API_VERSION)
    const { valid, errors } = validator.validate(JSON.parse(text))
    assert.deepEqual([valid, errors.slice(0, 5)], [true, []])
  })

  const broken: Readonly<Record<string, (one: ReturnType<typeof written>) => void>> = {
    'another version': (one) => Object.assign(one, { asyncapi: '2.6.0' }),
    'no title': (one) => Object.assign(one, { info: { version: '1' } }),
    'a field that AsyncAPI has not': (one) => Object.assign(one, { topics: {} }),
    'an address that is no text': (one) => Object.assign(one.channels.task ?? {}, { address: 7 }),
    'an action that is none': (one) => Object.assign(one.operations['task.feed'] ?? {}, { action: 'fly' }),
    'an operation without a channel': (one) => delete Object(one.operations['task.feed']).channel,
    'a payload whose type is none': (one) =>
      Object.assign(one.components.messages['task.feed.request'] ?? {}, { payload: { type: 'tree' } }),
    'a list of messages that are no references': (one) =>
      Object.assign(one.operations['task.feed'] ?? {}, { messages: ['task.feed.request'] }),
  }
  for (const [what, breakIt] of Object.entries(broken))
    test(`with ${what} it would be refused`, () => {
      const one = written()
      assert.ok(isValid(one))
      breakIt(one)
      assert.equal(isValid(one), false)
    })

  test('each reference leads somewhere, and operations use messages of their channel', () => {
    const find = (pointer: string): unknown =>
      pointer
        .replace(/^#\//, '')
        .split('/')
        .reduce<unknown>((value, key) => Reflect.get(Object(value), key), document)
    const lost = [...text.matchAll(/"\$ref": "([^"]+)"/g)].filter(([, to = '']) => find(to) === undefined)
    assert.deepEqual(lost, [])
    for (const [name, { channel, messages, reply }] of Object.entries(document.operations))
      for (const [of, all] of [
        [channel, messages] as const,
        ...(reply ? [[reply.channel, reply.messages] as const] : []),
      ])
        for (const { $ref } of all) assert.ok($ref.startsWith(`${of.$ref}/messages/`), `${name}: ${$ref}`)
  })

  test('every message is of an operation, and every channel has one', () => {
    const used = new Set(
      Object.values(document.operations).flatMap(({ messages, reply }) =>
        [...messages, ...(reply?.messages ?? [])].map(({ $ref }) => $ref.split('/').at(-1)),
      ),
    )
    assert.deepEqual(
      Object.keys(document.components.messages).filter((name) => !used.has(name)),
      [],
    )
    const channels = new Set(Object.values(document.operations).map(({ channel }) => channel.$ref.split('/').at(-1)))
    assert.deepEqual(Object.keys(document.channels).sort(), [...channels].sort())
  })

  test('the messages of .proto files that it names are there', () => {
    const named = [...text.matchAll(/"file":\s*"([^"]+\.proto)",\s*"message":\s*"(\w+)"/g)]
    assert.ok(named.length > 5)
    for (const [, file = '', message = ''] of named) {
      assert.ok(existsSync(join(ROOT, file)), file)
      assert.match(
        readFileSync(join(ROOT, file), 'utf8'),
        new RegExp(`\\bmessage ${message} \\{`),
        `${file}: ${message}`,
      )
    }
  })
})

const Cases = z.object({ good: z.array(z.unknown()).min(1), bad: z.array(z.unknown()).min(1) })
const Vectors = z.object({ about: z.string() }).catchall(z.record(z.string(), Cases))
/** By where they stand, as `x-vectors` has it. */
const cases = [VECTORS, BYTES_VECTORS, RESOURCE_VECTORS, PLAN_VECTORS, BUDGET_VECTORS, WAIT_VECTORS].flatMap((file) =>
  Object.entries(Vectors.parse(readJson(file))).flatMap(([where, all]) =>
    typeof all === 'string'
      ? []
      : Object.entries(all).map(([name, one]) => [`${file}#/${where}/${name}`, one] as const),
  ),
)

/** JSON Schema bounds no JSON by its length: `x-max-bytes` does, and is read here as a peer in another language would. */
const isTooLong = (schema: unknown, value: unknown): boolean => {
  const { $ref, 'x-max-bytes': mostBytes, properties = {}, items, oneOf = [], anyOf = [] } = Object(schema)
  if (typeof $ref === 'string')
    return isTooLong(Reflect.get(document.components.schemas, $ref.split('/').at(-1) ?? ''), value)
  if (typeof mostBytes === 'number' && JSON.stringify(value).length > mostBytes) return true
  if (Array.isArray(value)) return value.some((one) => isTooLong(items, one))
  return (
    Object.entries(typeof value === 'object' && value !== null ? value : {}).some(([name, one]) =>
      isTooLong(Reflect.get(Object(properties), name), one),
    ) || [...oneOf, ...anyOf].some((one: unknown) => isTooLong(one, value))
  )
}

/** Bytes are texts in the document. */
const readCbor = (hex: unknown): unknown => {
  const value: unknown = decode(Buffer.from(String(hex), 'hex'))
  const isMap = typeof value === 'object' && value !== null && !Array.isArray(value)
  if (!isMap) return value
  const plain = (one: unknown): unknown => (one instanceof Uint8Array ? Buffer.from(one).toString('latin1') : one)
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, plain(one)]))
}

describe('messages that others wrote', () => {
  const byVector = new Map(
    Object.values(document.components.messages).map((message) => [message['x-vectors'] ?? '', message]),
  )

  test('all of them are in the document, and the document names no others', () => {
    assert.ok(cases.length > 35)
    assert.deepEqual([...byVector.keys()].filter((at) => at !== '').sort(), cases.map(([at]) => at).sort())
  })

  for (const [at, { good, bad }] of cases)
    test(`${at.split('vectors/')[1]}: good ones are good by the document, bad ones bad`, () => {
      const { payload, contentType } = byVector.get(at) ?? assert.fail('it is not in the document')
      const isCbor = contentType === 'application/cbor'
      const of = new Validator({ ...payload, components: document.components }, '7', false)
      const isGood = (one: unknown): boolean => of.validate(one).valid && !isTooLong(payload, one)
      for (const one of good) assert.ok(isGood(isCbor ? readCbor(one) : one), JSON.stringify(one))
      // A document of JSON Schema tells no text from bytes.
      if (isCbor && at.endsWith(' item')) return
      for (const one of bad.map((one) => (isCbor ? readCbor(one) : one)))
        assert.equal(isGood(one), false, JSON.stringify(one).slice(0, 200))
    })
})

test('every file of vectors is read by a test of its own', () => {
  const tests = globSync('test/unit/**/*.test.ts', { cwd: ROOT }).filter((path) => !path.endsWith('asyncapi.test.ts'))
  const all = tests.map((path) => readFileSync(join(ROOT, path), 'utf8')).join('\n')
  const unread = globSync('test/interop/vectors/*.json', { cwd: ROOT }).filter(
    (path) => !all.includes(path.replace(/^test\//, '')),
  )
  assert.deepEqual(unread, [])
})
