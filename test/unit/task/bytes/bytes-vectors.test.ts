/** The protocol of large values as others write it (test/interop/vectors/task-bytes.json): what is good is taken, what is bad is refused with its code. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import * as z from 'zod'
import { isParleyError } from '../../../../protocols/errors.ts'
import { PART_BYTES, taskBytesProtocol } from '../../../../protocols/task/bytes/bytes-contract.ts'
import { callerCodec } from '../../../../protocols/wire/payload/contract.ts'
import { decodePayload, encodePayload } from '../../../../protocols/wire/payload/payload.ts'

const Cases = z.object({ good: z.array(z.unknown()).min(1), bad: z.array(z.unknown()).min(1), code: z.string() })
const { protocol } = z
  .object({ protocol: z.record(z.string(), Cases) })
  .parse(JSON.parse(readFileSync(new URL('../../../interop/vectors/task-bytes.json', import.meta.url), 'utf8')))

/** What each side does with a payload, as the vectors name it. */
const sides = Object.entries(taskBytesProtocol.methods).flatMap(([name, method]) => {
  const content = 'content' in method ? method.content : 'json'
  const codec = callerCodec(taskBytesProtocol, name, method)
  const bytesOf = (one: unknown): Uint8Array =>
    content === 'cbor' ? Buffer.from(String(one), 'hex') : encodePayload('json', one)
  // What is written is what was read.
  const asRequest = (one: unknown): unknown =>
    decodePayload(content, codec.encode(decodePayload(content, bytesOf(one))))
  const asAnswer = (one: unknown): unknown => codec.decode(bytesOf(one))
  const plain = (one: unknown): unknown => decodePayload(content, bytesOf(one))
  return [
    { name: `${name} request`, take: asRequest, plain },
    { name: `${name} ${'stream' in method ? 'item' : 'response'}`, take: asAnswer, plain },
  ]
})

test('each direction of each method has vectors', () => {
  assert.deepEqual(Object.keys(protocol).sort(), sides.map(({ name }) => name).sort())
})

for (const { name, take, plain } of sides)
  test(`${name}: good ones come through as they were written, bad ones are refused with their code`, () => {
    const { good, bad, code } = protocol[name] ?? assert.fail('it has no vectors')
    for (const one of good) assert.deepEqual(take(one), plain(one))
    for (const one of bad)
      assert.throws(
        () => take(one),
        (error) => isParleyError(error) && error.code === code,
        JSON.stringify(one),
      )
  })

test('an item has a bound', () => {
  const { fetch } = taskBytesProtocol.methods
  const decode = (length: number) =>
    callerCodec(taskBytesProtocol, 'fetch', fetch).decode(encodePayload('cbor', { bytes: new Uint8Array(length) }))
  assert.ok(decode(PART_BYTES))
  assert.throws(
    () => decode(PART_BYTES + 1),
    (error) => isParleyError(error, 'MSG001'),
  )
})
