import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MAX_CACHED_QUERIES } from '../../../../../discovery/directory/tables/offer-index.ts'
import { give, recordOf, start, TTL_MS } from '../../../../support/directory-tables.ts'

const offer = (...versions: string[]) => ({
  protocols: versions.map((version) => ({ name: 'p', version, methods: [] })),
})

test('offers are others with the right major version, each once with its newest', () => {
  const state = start()
  give(state, recordOf('a', 1, offer('1.0.0', '1.10.0', '1.9.9', '2.0.0')))
  give(state, recordOf('b', 1, offer('2.1.0')))
  give(state, recordOf('c', 1))
  const found = (major: number) => state.offers('p', major).map(({ peer, version }) => [peer, version])
  assert.deepEqual(found(1), [['a', '1.10.0']])
  assert.deepEqual(found(2), [
    ['a', '2.0.0'],
    ['b', '2.1.0'],
  ])
  assert.deepEqual(found(3), [])
})

test('offers follow every change', () => {
  const state = start()
  const peers = () => state.offers('p', 1).map(({ peer, state: judged }) => `${peer} ${judged}`)
  give(state, recordOf('a', 1, offer('1.0.0')))
  assert.deepEqual(peers(), ['a alive'])
  state.markSuspect('a', 0)
  assert.deepEqual(peers(), ['a suspect'])
  give(state, recordOf('b', 1, offer('1.0.0')))
  give(state, recordOf('a', 2, offer('2.0.0')))
  assert.deepEqual(peers(), ['b alive'])
  state.markGone('b', 0)
  assert.deepEqual(peers(), [])
  give(state, recordOf('c', 1, offer('1.0.0')))
  state.expire(TTL_MS)
  assert.deepEqual(peers(), [])
})

test('answers to offers are kept up to a bound and stay right past it', () => {
  const state = start()
  give(state, recordOf('a', 1, offer('1.0.0')))
  for (let n = 0; n <= MAX_CACHED_QUERIES; n += 1) assert.equal(state.offers(`none-${n}`, 1).length, 0)
  assert.equal(state.offers('p', 1).length, 1)
})
