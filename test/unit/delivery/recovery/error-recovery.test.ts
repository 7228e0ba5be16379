/** Which recovery an error gets, and what is told of those that end. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  createRecoveries,
  decideRecovery,
  type Undelivered,
} from '../../../../protocols/delivery/recovery/error-recovery.ts'
import { CODES, type Code, ParleyError } from '../../../../protocols/errors.ts'

const facts = { count: 1, idempotent: false, remainingMs: 30_000, chance: 0 }
const remote = (code: Code): ParleyError => new ParleyError(code, 'x', { remote: true })
const unsent = new ParleyError('COM002', 'gone', { details: { sent: false } })

test('MSG001 of the other side is checked once more, and only once', () => {
  assert.deepEqual(decideRecovery(remote('MSG001'), facts), { kind: 'revise' })
  assert.deepEqual(decideRecovery(remote('MSG001'), { ...facts, isRevised: true }), { kind: 'give-up' })
  assert.deepEqual(decideRecovery(remote('MSG001'), { ...facts, remainingMs: 0 }), { kind: 'give-up' })
  assert.deepEqual(decideRecovery(new ParleyError('MSG001', 'own'), facts), { kind: 'give-up' })
})

test('MSG002 of this side is written once more, and only once', () => {
  assert.deepEqual(decideRecovery(new ParleyError('MSG002', 'x'), facts), { kind: 'rewrite' })
  assert.deepEqual(decideRecovery(new ParleyError('MSG002', 'x'), { ...facts, isRewritten: true }), { kind: 'give-up' })
  assert.deepEqual(decideRecovery(remote('MSG002'), facts), { kind: 'give-up' })
})

test('COM001 is tried again with backoff only where twice is as good as once, and while time is left', () => {
  const late = new ParleyError('COM001', 'late')
  assert.deepEqual(decideRecovery(late, facts), { kind: 'give-up' })
  assert.deepEqual(decideRecovery(late, { ...facts, idempotent: true }), { kind: 'retry', delayMs: 25 })
  assert.deepEqual(decideRecovery(late, { ...facts, idempotent: true, count: 2 }), { kind: 'retry', delayMs: 50 })
  assert.deepEqual(decideRecovery(late, { ...facts, idempotent: true, remainingMs: 10 }), { kind: 'give-up' })
  assert.deepEqual(decideRecovery(late, { ...facts, idempotent: true, hasOthers: true }), {
    kind: 'retry',
    delayMs: 25,
  })
})

test('COM002 goes to another peer where there is one, else to a new connection after a while', () => {
  assert.deepEqual(decideRecovery(unsent, { ...facts, hasOthers: true }), { kind: 'failover' })
  assert.deepEqual(decideRecovery(unsent, facts), { kind: 'retry', delayMs: 25 })
  assert.deepEqual(decideRecovery(new ParleyError('COM002', 'sent'), { ...facts, hasOthers: true }), {
    kind: 'give-up',
  })
})

test('a code whose recovery is none, or that is no error of the mesh, is given up', () => {
  const none = (Object.keys(CODES) as Code[]).filter((code) => ['none', 'replan'].includes(CODES[code].recovery))
  assert.ok(none.length > 8)
  for (const code of none)
    assert.deepEqual(decideRecovery(remote(code), { ...facts, idempotent: true }), { kind: 'give-up' })
  assert.deepEqual(decideRecovery(new Error('x'), { ...facts, idempotent: true }), { kind: 'give-up' })
})

test('a recovery that failed is counted, logged as critical with both causes, and goes to the dead letters', () => {
  const counted: unknown[] = []
  const logged: [string, unknown][] = []
  const letters: Undelivered[] = []
  const recoveries = createRecoveries({
    clock: { now: () => 1_000 },
    log: { error: (message, fields) => void logged.push([message, fields]), info: () => assert.fail() },
    metrics: { counter: () => (labels) => void counted.push(labels) },
    onDeadLetter: (letter) => void letters.push(letter),
  })
  recoveries.ended('COM001', 'recovered')
  const error = unsent
  const recoveryError = new ParleyError('COM001', 'late')
  const payload = new Uint8Array([1])
  const letter = { to: 'p', label: 'a.b', code: 'COM002' as const, error, recoveryError, payload }
  recoveries.failed({ ...letter, conversationId: undefined })
  assert.deepEqual(counted, [
    { code: 'COM001', recovery: 'retry_with_backoff', outcome: 'recovered' },
    { code: 'COM002', recovery: 'failover_to_backup', outcome: 'failed' },
  ])
  assert.equal(logged.length, 1)
  assert.deepEqual(logged[0]?.[1], {
    severity: 'critical',
    label: 'a.b',
    destination: 'p',
    messageType: 'REQUEST',
    conversation_id: undefined,
    code: 'COM002',
    recovery: 'failover_to_backup',
    error: recoveryError,
    recovery_error: 'late',
    original_error: 'COM002: gone',
  })
  assert.deepEqual(letters, [{ ...letter, conversationId: undefined, at: 1_000, recovery: 'failover_to_backup' }])
})

test('a recovery that failed of a call whose caller is told is no critical line of the log', () => {
  const logged: [string, unknown][] = []
  const letters: Undelivered[] = []
  const recoveries = createRecoveries({
    clock: { now: () => 1_000 },
    log: { error: () => assert.fail(), info: (_, fields) => void logged.push(['info', fields?.severity]) },
    metrics: { counter: () => () => {} },
    onDeadLetter: (letter) => void letters.push(letter),
  })
  const letter = { to: 'p', label: 'a.b', code: 'COM002' as const, payload: undefined, conversationId: undefined }
  recoveries.failed({ ...letter, error: unsent, recoveryError: unsent }, true)
  assert.deepEqual(logged, [['info', 'warning']])
  assert.equal(letters.length, 1)
})
