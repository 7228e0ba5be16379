import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isParleyError } from '../../../../protocols/errors.ts'
import type { Json } from '../../../../protocols/journal/state/command-kind.ts'
import {
  decodeValue,
  encodeValue,
  MAX_STORED_BYTES,
  readStored,
  type StoredBytes,
  storedRow,
  withoutHolders,
} from '../../../../protocols/task/bytes/stored-bytes.ts'
import { MAX_VALUE_BYTES } from '../../../../protocols/task/task-record.ts'

const stored: StoredBytes = { hash: 'ab'.repeat(32), size: 20_000, form: 'json', holders: ['ann', 'bob'] }

test('a value that fits stands in the journal as it is, any other one is read again as it was', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
      const encoded = encodeValue('it', value)
      assert.deepEqual(encoded, { row: value })
      assert.equal(readStored(value), undefined)
    }),
  )
  const exact = 'x'.repeat(MAX_VALUE_BYTES - 2)
  assert.deepEqual(encodeValue('it', exact), { row: exact })
  const large = { text: 'ü'.repeat(MAX_VALUE_BYTES), list: [1, null, true] }
  const encoded = encodeValue('it', large)
  assert.ok('bytes' in encoded && encoded.form === 'json')
  assert.deepEqual(decodeValue({ hash: '', form: 'json' }, encoded.bytes), large)
  assert.deepEqual(encodeValue('it', new Uint8Array([1, 2])), { bytes: new Uint8Array([1, 2]), form: 'binary' })
  assert.deepEqual(encodeValue('it', undefined), { row: null })
})

test('what is no value is refused, and so is what looks like a place of bytes', () => {
  const wrong = [
    new Map(),
    Number.NaN,
    () => 1,
    storedRow(stored),
    { 'parley:bytes': 1 },
    new Uint8Array(MAX_STORED_BYTES + 1),
  ]
  for (const value of wrong)
    assert.throws(
      () => encodeValue('the input', value),
      (error) => isParleyError(error, 'MSG001') && error.message.startsWith('the input') && error.hint !== undefined,
    )
})

test('a place of bytes is read where all of it is right, and nothing else is taken for one', () => {
  assert.deepEqual(readStored(storedRow(stored)), stored)
  const wrong: unknown[] = [
    ...[null, 'parley:bytes', [], {}, { 'parley:bytes': null }],
    ...[{ hash: 'AB'.repeat(32) }, { size: -1 }, { size: MAX_STORED_BYTES + 1 }, { size: 1.5 }, { form: 'text' }].map(
      (change) => ({ 'parley:bytes': { ...stored, ...change } }),
    ),
    ...[[], Array.from({ length: 9 }, (_, i) => `p${i}`), ['']].map((holders) => ({
      'parley:bytes': { ...stored, holders },
    })),
  ]
  for (const value of wrong) assert.equal(readStored(value), undefined, JSON.stringify(value))
})

test('two submissions are the same whoever holds their bytes', () => {
  const elsewhere = storedRow({ ...stored, holders: ['carl'] })
  assert.deepEqual(withoutHolders(elsewhere), withoutHolders(storedRow(stored)))
  assert.notDeepEqual(withoutHolders(storedRow({ ...stored, size: 1 })), withoutHolders(storedRow(stored)))
  assert.equal(withoutHolders(7), 7)
})

test('bytes that are not the JSON that they are said to be are refused', () => {
  const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
  const deep = '['.repeat(100_000) + ']'.repeat(100_000)
  for (const wrong of [bytes('{'), new Uint8Array([0xff, 0xfe]), bytes(''), bytes(deep)])
    assert.throws(
      () => decodeValue(stored, wrong),
      (error) => isParleyError(error, 'MSG003'),
    )
  const value: Json = decodeValue(stored, bytes('{"a":[1]}')) as Json
  assert.deepEqual(value, { a: [1] })
})
