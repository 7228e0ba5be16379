import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import * as z from 'zod'
import { ParleyError } from '../../../../protocols/errors.ts'
import { decodePayload, encodePayload, validate } from '../../../../protocols/wire/payload/payload.ts'

const refusal = (run: () => unknown): ParleyError => {
  try {
    run()
  } catch (error) {
    if (error instanceof ParleyError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

describe('payload', () => {
  it('comes back as it was, as JSON', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        // -0 has no JSON.
        const expected = JSON.parse(JSON.stringify(value))
        assert.deepEqual(decodePayload('json', encodePayload('json', value)), expected)
      }),
    )
  })

  it('comes back as it was, as CBOR, bytes included', () => {
    const value = fc.record(
      { text: fc.string({ unit: 'grapheme' }), n: fc.integer(), bytes: fc.uint8Array(), list: fc.array(fc.boolean()) },
      { noNullPrototype: true },
    )
    fc.assert(
      fc.property(value, (each) => {
        assert.deepEqual(decodePayload('cbor', encodePayload('cbor', each)), each)
      }),
    )
  })

  it('of content bytes is a copy of its own, whatever kind of array it came in', () => {
    const bytes = Buffer.from([1, 2, 3])
    const back = decodePayload('bytes', bytes)
    bytes.fill(0)
    assert.deepEqual(back, new Uint8Array([1, 2, 3]))
  })

  it('undefined takes no bytes and comes back as undefined', () => {
    for (const content of ['json', 'cbor'] as const) {
      assert.equal(encodePayload(content, undefined).length, 0)
      assert.equal(decodePayload(content, new Uint8Array(0)), undefined)
    }
  })

  it('that cannot be written is refused with MSG002 and what to leave out', () => {
    const cycle: Record<string, unknown> = {}
    cycle.self = cycle
    for (const [content, value] of [
      ['json', 1n],
      ['json', cycle],
      ['cbor', cycle],
      ['cbor', { f: () => {} }],
      ['bytes', 'text'],
      ['bytes', undefined],
    ] as const) {
      const error = refusal(() => encodePayload(content, value))
      assert.equal(error.code, 'MSG002')
      assert.ok((error.hint ?? '').length > 0)
    }
  })

  it('that cannot be read is refused with MSG003', () => {
    assert.equal(refusal(() => decodePayload('json', new Uint8Array([0x7b]))).code, 'MSG003')
    assert.equal(refusal(() => decodePayload('cbor', new Uint8Array([0xff]))).code, 'MSG003')
  })

  it('of random bytes is read or refused with MSG003, never another error', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('json' as const, 'cbor' as const),
        fc.uint8Array({ maxLength: 60 }),
        (content, bytes) => {
          try {
            decodePayload(content, bytes)
          } catch (error) {
            assert.ok(error instanceof ParleyError && error.code === 'MSG003', `${error}`)
          }
        },
      ),
      { numRuns: 1000 },
    )
  })

  it('nested a hundred thousand deep is refused, not a crash', () => {
    const deep = new Uint8Array(100_000).fill(0x81)
    assert.equal(refusal(() => decodePayload('cbor', deep)).code, 'MSG003')
    const text = new TextEncoder().encode('['.repeat(100_000))
    assert.equal(refusal(() => decodePayload('json', text)).code, 'MSG003')
  })
})

describe('check', () => {
  const Person = z.object({ name: z.string(), age: z.number().int().default(1) })

  it('returns what the schema makes of the value', () => {
    assert.deepEqual(validate(Person, { name: 'a', more: 1 }, 'x'), { name: 'a', age: 1 })
  })

  it('refuses with MSG001, names the place, and lists at most five differences', () => {
    const Many = z.object(Object.fromEntries(['a', 'b', 'c', 'd', 'e', 'f'].map((name) => [name, z.string()])))
    const error = refusal(() => validate(Many, {}, 'demo.once request'))
    assert.equal(error.code, 'MSG001')
    assert.match(error.message, /^demo\.once request does not fit its schema: a: /)
    assert.equal((error.details.issues as unknown[]).length, 5)
    assert.match(refusal(() => validate(z.string(), 1, 'it')).message, /the value/)
  })

  it('does not tell the value that did not fit', () => {
    const error = refusal(() => validate(Person, { name: 'a', age: 'swordfish' }, 'x'))
    assert.doesNotMatch(JSON.stringify([error.message, error.hint, error.details]), /swordfish/)
  })

  it('refuses a schema that is not synchronous with MSG001', () => {
    const slow = z.string().refine(async () => true)
    assert.equal(refusal(() => validate(slow, 'a', 'x')).code, 'MSG001')
  })
})
