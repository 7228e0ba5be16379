import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { checkKeys, keysOf, nearestName } from '../../../protocols/unknown-keys.ts'

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
    assert.equal(nearestName(written, KNOWN), meant, written)
  }
})

test('what resembles nothing, or is absurdly long, gives no suggestion', () => {
  assert.equal(nearestName('timeout', KNOWN), undefined)
  assert.equal(nearestName('', KNOWN), undefined)
  assert.equal(nearestName('x'.repeat(100_000), KNOWN), undefined)
  assert.equal(nearestName('name', []), undefined)
})

test('a known name is nearest to itself, and also with one letter more', () => {
  fc.assert(
    fc.property(fc.constantFrom(...KNOWN), fc.nat(20), fc.constantFrom('x', 'q'), (name, at, letter) => {
      assert.equal(nearestName(name, KNOWN), name)
      assert.equal(nearestName(name.slice(0, at) + letter + name.slice(at), KNOWN), name)
    }),
  )
})

const OPTIONS = keysOf<{ timeoutMs?: number; signal?: AbortSignal }>({ timeoutMs: true, signal: true })

test('keys that are known pass, whatever their values, and a class of the program passes by its own fields', () => {
  checkKeys({}, OPTIONS, 'the options')
  checkKeys({ timeoutMs: undefined, signal: undefined }, OPTIONS, 'the options')
  const inherited = Object.create({ other: 1 })
  checkKeys(inherited, OPTIONS, 'the options')
})

test('a key that nobody knows is refused with the one that was meant, or with all of them', () => {
  assert.throws(() => checkKeys({ timeoutMS: 1 }, OPTIONS, 'the options of a call'), {
    code: 'MSG001',
    message: 'the options of a call: "timeoutMS" is unknown',
    hint: 'did you mean timeoutMs?',
  })
  assert.throws(() => checkKeys({ colour: 1 }, OPTIONS, 'x'), { hint: 'known are timeoutMs, signal' })
  for (const given of [null, 5, 'x', undefined])
    assert.throws(() => checkKeys(given as never, OPTIONS, 'x'), { code: 'MSG001' })
})
