import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLedger, type Failure, FORGOTTEN_MS, RECOVERY_MS } from '../../soak/classify.ts'

const failure = (change: Partial<Failure> = {}): Failure => ({
  caller: 'caller',
  target: 'target',
  between: '',
  kind: 'echo-to',
  code: 'COM002',
  message: '',
  sent: false,
  startedAt: 10_000,
  endedAt: 10_100,
  ...change,
})

test('a lost connection to a peer that nobody touched is unexpected', () => {
  assert.equal(createLedger().classify(failure()), 'unexpected')
})

test('calls to a peer that left or was killed are expected to fail, until all must have forgotten it', () => {
  for (const how of ['left', 'killed'] as const) {
    const ledger = createLedger()
    ledger[how]('target', 10_050)
    assert.equal(ledger.classify(failure()), how)
    assert.equal(ledger.classify(failure({ startedAt: 5_000, endedAt: 9_000 })), 'unexpected')
    const late = 10_050 + FORGOTTEN_MS
    assert.equal(ledger.classify(failure({ startedAt: late, endedAt: late + 9 })), how)
    assert.equal(ledger.classify(failure({ startedAt: late + 1, endedAt: late + 9 })), 'unexpected')
  }
})

test('calls from and to a peer whose connections were cut may fail while they come back', () => {
  for (const peer of ['caller', 'target']) {
    const ledger = createLedger()
    ledger.cut(peer, 10_050)
    assert.equal(ledger.classify(failure()), 'cut')
    const late = 10_050 + RECOVERY_MS
    assert.equal(ledger.classify(failure({ startedAt: late, endedAt: late + 9 })), 'cut')
    assert.equal(ledger.classify(failure({ startedAt: late + 1, endedAt: late + 9 })), 'unexpected')
  }
})

test('any other code is unexpected, whatever happened to the peer', () => {
  const ledger = createLedger()
  ledger.killed('target', 10_050)
  for (const code of ['COM001', 'COM003', 'COM004', 'SEC001', 'MSG003', 'APP001', 'WrongAnswer']) {
    assert.equal(ledger.classify(failure({ code })), 'unexpected', code)
  }
})

test('a call that the mesh addressed fails only where it must not be repeated and a peer was taken away', () => {
  const any = { target: undefined, kind: 'once-any', sent: true } as const
  assert.equal(createLedger().classify(failure(any)), 'unexpected')
  const ledger = createLedger()
  ledger.killed('somebody', 10_050)
  assert.equal(ledger.classify(failure(any)), 'killed')
  assert.equal(ledger.classify(failure({ ...any, sent: false })), 'unexpected')
  assert.equal(ledger.classify(failure({ ...any, kind: 'echo-any' })), 'unexpected')
})

test('what is remembered is bounded, oldest first', () => {
  const ledger = createLedger()
  ledger.left('target', 10_050)
  for (let i = 0; i < 2_000; i += 1) ledger.left(`other-${i}`, 10_050)
  assert.equal(ledger.classify(failure()), 'unexpected')
})

test('it is told how long before a failure either end was cut', () => {
  const ledger = createLedger()
  assert.equal(ledger.sinceCutMs(failure()), undefined)
  ledger.cut('somebody', 10_000)
  assert.equal(ledger.sinceCutMs(failure()), undefined)
  ledger.cut('caller', 4_000)
  ledger.cut('target', 5_100)
  assert.equal(ledger.sinceCutMs(failure()), 5_000)
})
