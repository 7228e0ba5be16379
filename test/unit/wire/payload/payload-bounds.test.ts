/** What a payload may hold: at each bound, one past it, and never a word against what is within. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { encode as toCbor } from 'cborg'
import fc from 'fast-check'
import { isParleyError } from '../../../../protocols/errors.ts'
import { MAX_KEYS } from '../../../../protocols/wire/payload/distinct-keys.ts'
import { decodePayload } from '../../../../protocols/wire/payload/payload.ts'
import {
  checkCborBounds,
  checkJsonBounds,
  MAX_DEPTH,
  MAX_NODES,
  MAX_VALUES,
  readJson,
  readJsonText,
} from '../../../../protocols/wire/payload/payload-bounds.ts'

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)
const tooComplex = (error: unknown): boolean => isParleyError(error, 'MSG003') && error.details.reason === 'too-complex'
const nested = (depth: number): string => `${'['.repeat(depth)}${'1,'.repeat(200)}1${']'.repeat(depth)}`

/** FNV-1a of the text, from this state on. */
const fnv = (text: string, state: number): number => {
  let hash = state
  for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  return hash
}

/**
 * 2 ** `stages` texts with one hash: two blocks that lead from one state to the same next one, again and again.
 * Source: A. Joux, Multicollisions in iterated hash functions, 2004.
 */
const colliding = (stages: number): string[] => {
  let state = 0x811c9dc5
  let texts = ['']
  for (let stage = 0; stage < stages; stage += 1) {
    const seen = new Map<number, string>()
    for (let n = 0; ; n += 1) {
      const block = n.toString(36).padStart(5, '.')
      const next = fnv(block, state)
      const other = seen.get(next)
      seen.set(next, block)
      if (other === undefined) continue
      texts = texts.flatMap((text) => [text + other, text + block])
      state = next
      break
    }
  }
  return texts
}

describe('bounds of JSON', () => {
  it('are levels, at the limit and not one past it', () => {
    checkJsonBounds(bytesOf(nested(MAX_DEPTH)))
    assert.throws(() => checkJsonBounds(bytesOf(nested(MAX_DEPTH + 1))), tooComplex)
  })

  it('are levels for whoever reads, whatever they are made of', () => {
    const pairs = (count: number): string => `${'{"a":['.repeat(count)}${']}'.repeat(count)}`
    const rows = (count: number): string => JSON.stringify(Array(count).fill({ a: [1, 2] }))
    for (const text of [pairs(MAX_DEPTH / 2), nested(MAX_DEPTH), rows(MAX_DEPTH), rows(10 * MAX_DEPTH)]) {
      assert.deepEqual(readJson(bytesOf(text)), JSON.parse(text))
      assert.deepEqual(readJsonText(text), JSON.parse(text))
    }
    for (const text of [`[${pairs(MAX_DEPTH / 2)}]`, nested(MAX_DEPTH + 1), `{"a":${nested(MAX_DEPTH)}}`]) {
      assert.throws(() => readJson(bytesOf(text)), tooComplex)
      assert.throws(() => readJsonText(text), tooComplex)
    }
  })

  it('are arrays, objects and keys, at the limit and not one past it', () => {
    const empty = (count: number): Uint8Array => bytesOf(`[${Array(count).fill('{}').join(',')}]`)
    checkJsonBounds(empty(MAX_NODES - 1))
    assert.throws(() => checkJsonBounds(empty(MAX_NODES)), tooComplex)
  })

  it('are values, at the limit and not one past it', () => {
    const ones = (count: number): Uint8Array => bytesOf(`[${Array(count).fill('1').join(',')}]`)
    checkJsonBounds(ones(MAX_VALUES + 1))
    assert.throws(() => checkJsonBounds(ones(MAX_VALUES + 2)), tooComplex)
  })

  it('are keys that differ, at the limit and not one past it, however often each is there', () => {
    const object = (count: number): string => `{${Array.from({ length: count }, (_, i) => `"k${i}":1`).join(',')}}`
    checkJsonBounds(bytesOf(object(MAX_KEYS)))
    checkJsonBounds(bytesOf(`[${object(MAX_KEYS)},${object(MAX_KEYS)},${object(MAX_KEYS)}]`))
    assert.throws(() => checkJsonBounds(bytesOf(object(MAX_KEYS + 1))), tooComplex)
    assert.throws(() => checkJsonBounds(bytesOf(`[${object(MAX_KEYS)},{"another":1}]`)), tooComplex)
  })

  it('are the work of telling keys apart: keys chosen for one hash are refused while they are few', () => {
    const chosen = colliding(12)
    const spread = chosen.map((_, i) => `key ${i} of them`)
    const objects = (keys: string[]): Uint8Array =>
      bytesOf(`[${keys.map((key) => JSON.stringify({ [key]: 1 })).join(',')}]`)
    assert.ok(chosen.length === 2 ** 12 && new Set(chosen).size === chosen.length)
    checkJsonBounds(objects(spread))
    assert.throws(() => checkJsonBounds(objects(chosen)), tooComplex)
  })

  it('leave rows of a table alone, however many cells they have', () => {
    const rows = Array.from({ length: 20_000 }, (_, i) => ({ id: i, name: `row ${i}`, a: 1, b: 2, c: [3, 4], d: 'x' }))
    const bytes = bytesOf(JSON.stringify(rows))
    assert.deepEqual(decodePayload('json', bytes), rows)
  })

  it('are not passed by what lies in strings, whatever is escaped there', () => {
    const text = fc.array(fc.constantFrom('[', ']', '{', '}', ':', ',', '\\', '"', 'x', 'ü', '\n'), { maxLength: 400 })
    fc.assert(
      fc.property(fc.array(text, { minLength: 1, maxLength: 20 }), (parts) => {
        const value = parts.map((part) => ({ [part.join('')]: part.join('').repeat(30) }))
        assert.deepEqual(decodePayload('json', bytesOf(JSON.stringify(value))), value)
      }),
    )
  })

  it('never refuse a value within them, and never throw anything else for bytes of any kind', () => {
    fc.assert(
      fc.property(fc.oneof(fc.json({ maxDepth: 12 }), fc.string({ minLength: 300, maxLength: 2_000 })), (text) => {
        checkJsonBounds(bytesOf(text))
      }),
    )
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 300, maxLength: 3_000 }), (bytes) => {
        try {
          checkJsonBounds(bytes)
          checkCborBounds(bytes)
        } catch (error) {
          assert.ok(tooComplex(error), String(error))
        }
      }),
    )
  })
})

describe('bounds of CBOR', () => {
  const nest = (depth: number): Uint8Array =>
    Uint8Array.from([...Array(depth).fill(0x81), 0x58, 200, ...Array(200).fill(7)])
  const array = (count: number, item: number): Uint8Array => {
    const bytes = new Uint8Array(5 + count).fill(item)
    bytes[0] = 0x9a
    new DataView(bytes.buffer).setUint32(1, count)
    return bytes
  }

  it('are levels, nodes and values, each at the limit and not one past it', () => {
    checkCborBounds(nest(MAX_DEPTH))
    assert.throws(() => checkCborBounds(nest(MAX_DEPTH + 1)), tooComplex)
    checkCborBounds(array(MAX_NODES - 1, 0x80))
    assert.throws(() => checkCborBounds(array(MAX_NODES, 0x80)), tooComplex)
    checkCborBounds(array(MAX_VALUES - 1, 0x01))
    assert.throws(() => checkCborBounds(array(MAX_VALUES, 0x01)), tooComplex)
  })

  it('are the bytes that are there: a length that says more is refused, before anything is made of it', () => {
    for (const head of [[0x9b], [0xbb], [0x5b], [0x7b]]) {
      const bytes = new Uint8Array(300).fill(0x00)
      bytes.set([...head, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00])
      assert.throws(() => checkCborBounds(bytes), tooComplex)
    }
  })

  it('count arrays and maps without an end as well, and tags as nothing of their own', () => {
    const endless = (depth: number): Uint8Array =>
      Uint8Array.from([...Array(depth).fill(0x9f), ...Array(200).fill(1), ...Array(depth).fill(0xff)])
    checkCborBounds(endless(MAX_DEPTH))
    assert.throws(() => checkCborBounds(endless(MAX_DEPTH + 1)), tooComplex)
    const tags = new Uint8Array(MAX_VALUES + 10).fill(0xc1)
    assert.throws(() => checkCborBounds(tags), tooComplex)
  })

  it('are keys that differ', () => {
    const object = (count: number): Uint8Array =>
      toCbor(Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, 1])))
    checkCborBounds(object(MAX_KEYS))
    assert.throws(() => checkCborBounds(object(MAX_KEYS + 1)), tooComplex)
  })

  it('never refuse a value within them', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 12 }), fc.array(fc.string(), { minLength: 20 }), (value, texts) => {
        const bytes = toCbor({ value, texts, more: new Uint8Array(200) })
        checkCborBounds(bytes)
        assert.ok(decodePayload('cbor', bytes))
      }),
    )
  })
})
