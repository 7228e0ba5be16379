import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { nearest } from '../../../node/nearest.ts'

const KNOWN = ['name', 'mesh', 'listen', 'maxMessageBytes', 'dataDir', 'secret']

test('a slip of the hand finds the name that was meant', () => {
  for (const [written, meant] of [
    ['nmae', 'name'],
    ['Name', 'name'],
    ['names', 'name'],
    ['datadir', 'dataDir'],
    ['dataDirectory', undefined],
    ['maxMesageBytes', 'maxMessageBytes'],
    ['secrets', 'secret'],
    ['lisen', 'listen'],
  ] as const) {
    assert.equal(nearest(written, KNOWN), meant, written)
  }
})

test('what resembles nothing, or is absurdly long, gives no suggestion', () => {
  assert.equal(nearest('timeout', KNOWN), undefined)
  assert.equal(nearest('', KNOWN), undefined)
  assert.equal(nearest('x'.repeat(100_000), KNOWN), undefined)
  assert.equal(nearest('name', []), undefined)
})

test('a known name is nearest to itself, and also with one letter more', () => {
  fc.assert(
    fc.property(fc.constantFrom(...KNOWN), fc.nat(20), fc.constantFrom('x', 'q'), (name, at, letter) => {
      assert.equal(nearest(name, KNOWN), name)
      assert.equal(nearest(name.slice(0, at) + letter + name.slice(at), KNOWN), name)
    }),
  )
})
