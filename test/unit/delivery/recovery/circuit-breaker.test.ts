/** The circuit breaker: its three states, what opens it, the one probe, the table and its bounds. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { DEFAULT_BREAKER } from '../../../../protocols/delivery/recovery/circuit-breaker.ts'
import {
  breakerOpenError,
  breakerOutcomeOf,
  isBreakerOpenError,
  PeerBreakers,
} from '../../../../protocols/delivery/recovery/peer-breakers.ts'
import { ParleyError } from '../../../../protocols/errors.ts'

const lost = (): ParleyError => new ParleyError('COM002', 'cannot be reached', { details: { sent: false } })
const remote = (code: 'COM001' | 'COM002' | 'COM003' | 'APP001' | 'MSG001'): ParleyError =>
  new ParleyError(code, 'the peer said so', { remote: true })

const fail = (breakers: PeerBreakers, times: number, nowMs: number): void => {
  for (let i = 0; i < times; i += 1) breakers.failed('p', lost(), nowMs)
}
const stateOf = (breakers: PeerBreakers, nowMs: number): string | undefined =>
  breakers.view(nowMs).find(({ peer }) => peer === 'p')?.state

test('its figures are those of the source: 5 failures in 10 s, half-open after 30 s', () => {
  assert.deepEqual(DEFAULT_BREAKER, { failures: 5, windowMs: 10_000, halfOpenAfterMs: 30_000 })
})

test('four failures leave it closed, the fifth within the window opens it', () => {
  const breakers = new PeerBreakers()
  fail(breakers, 4, 0)
  assert.deepEqual(breakers.ask('p', 0), { kind: 'pass' })
  fail(breakers, 1, 9_999)
  assert.deepEqual(breakers.ask('p', 9_999), { kind: 'refused', retryAfterMs: 30_000 })
  assert.deepEqual(breakers.ask('q', 9_999), { kind: 'pass' }, 'others are not concerned')
  assert.equal(breakers.counts().opened, 1)
  assert.equal(breakers.counts().refused, 1)
})

test('a failure that is as old as the window does not count any more', () => {
  const breakers = new PeerBreakers()
  fail(breakers, 4, 0)
  fail(breakers, 1, 10_000)
  assert.deepEqual(breakers.ask('p', 10_000), { kind: 'pass' })
  fail(breakers, 3, 10_000)
  assert.equal(breakers.ask('p', 10_000).kind, 'pass')
  fail(breakers, 1, 10_000)
  assert.equal(breakers.ask('p', 10_000).kind, 'refused')
})

test('after 30 s one probe passes, and nobody else until it has told', () => {
  const breakers = new PeerBreakers()
  fail(breakers, 5, 0)
  assert.deepEqual(breakers.ask('p', 29_999), { kind: 'refused', retryAfterMs: 1 })
  const probe = breakers.ask('p', 30_000)
  assert.ok(probe.kind === 'pass' && probe.probe !== undefined)
  assert.equal(breakers.ask('p', 30_001).kind, 'refused')
  assert.equal(stateOf(breakers, 30_001), 'half-open')
  assert.equal(breakers.counts().probes, 1)
})

test('a probe that succeeds closes it, and nothing is remembered', () => {
  const breakers = new PeerBreakers()
  fail(breakers, 5, 0)
  const probe = breakers.ask('p', 30_000)
  assert.ok(probe.kind === 'pass')
  breakers.success('p', 30_010, probe.probe)
  assert.ok(breakers.isQuiet())
  assert.deepEqual(breakers.ask('p', 30_010), { kind: 'pass' })
  assert.equal(breakers.counts().closed, 1)
  fail(breakers, 4, 30_010)
  assert.equal(breakers.ask('p', 30_010).kind, 'pass', 'it counts from the beginning')
})

test('a probe that fails opens it for another 30 s', () => {
  const breakers = new PeerBreakers()
  fail(breakers, 5, 0)
  const probe = breakers.ask('p', 30_000)
  assert.ok(probe.kind === 'pass')
  breakers.failed('p', lost(), 31_000, probe.probe)
  assert.deepEqual(breakers.ask('p', 31_000), { kind: 'refused', retryAfterMs: 30_000 })
  assert.equal(breakers.ask('p', 61_000).kind, 'pass')
  assert.equal(breakers.counts().opened, 2)
})

test('a probe that its caller gave up makes room for the next one at once', () => {
  const breakers = new PeerBreakers()
  fail(breakers, 5, 0)
  const probe = breakers.ask('p', 30_000)
  assert.ok(probe.kind === 'pass')
  breakers.failed('p', new Error('aborted'), 30_001, probe.probe)
  const next = breakers.ask('p', 30_001)
  assert.ok(next.kind === 'pass')
  assert.notEqual(next.probe, probe.probe)
})

test('a probe that is never heard of again does not keep it half-open for ever', () => {
  const breakers = new PeerBreakers()
  fail(breakers, 5, 0)
  assert.equal(breakers.ask('p', 30_000).kind, 'pass')
  assert.equal(breakers.ask('p', 59_999).kind, 'refused')
  assert.equal(breakers.ask('p', 60_000).kind, 'pass')
})

test('a call from before it opened that fails during the probe decides nothing', () => {
  const breakers = new PeerBreakers()
  fail(breakers, 5, 0)
  const probe = breakers.ask('p', 30_000)
  assert.ok(probe.kind === 'pass')
  fail(breakers, 3, 30_001)
  breakers.failed('p', new Error('aborted'), 30_001)
  assert.equal(stateOf(breakers, 30_001), 'half-open')
  assert.equal(breakers.ask('p', 30_001).kind, 'refused')
})

test('a call from before it opened that is answered after all closes it', () => {
  const breakers = new PeerBreakers()
  fail(breakers, 5, 0)
  breakers.success('p', 100)
  assert.deepEqual(breakers.ask('p', 100), { kind: 'pass' })
})

test('a new connection makes an open one worth a probe at once, but only one', () => {
  const breakers = new PeerBreakers()
  fail(breakers, 5, 0)
  breakers.seen('p', 1_000)
  assert.ok(!breakers.isOpen('p', 1_000))
  assert.equal(breakers.ask('p', 1_000).kind, 'pass')
  assert.equal(breakers.ask('p', 1_000).kind, 'refused')
  breakers.seen('p', 1_000)
  assert.equal(breakers.ask('p', 1_000).kind, 'refused', 'a probe is out')
})

test('a peer that answers more than it fails is not given up', () => {
  const breakers = new PeerBreakers()
  for (let i = 0; i < 50; i += 1) {
    breakers.failed('p', lost(), i)
    breakers.success('p', i)
    breakers.success('p', i)
  }
  assert.equal(stateOf(breakers, 50), 'closed')
  const even = new PeerBreakers()
  for (let i = 0; i < 5; i += 1) {
    if (i > 0) even.success('p', i)
    even.failed('p', lost(), i)
  }
  assert.equal(stateOf(even, 5), 'open', 'as many answers as failures are not enough')
})

test('many calls that one broken connection fails are one failure', () => {
  const breakers = new PeerBreakers()
  const cause = new Error('connection reset')
  for (let i = 0; i < 100; i += 1) breakers.failed('p', new ParleyError('COM002', 'lost', { cause }), 0)
  assert.equal(breakers.view(0)[0]?.failures, 1)
  for (let i = 0; i < 4; i += 1) breakers.failed('p', new ParleyError('COM002', 'lost', { cause: new Error() }), 0)
  assert.equal(breakers.ask('p', 0).kind, 'refused')
})

test('what a peer answers shows that it is there; only silence and lost connections are failures', () => {
  for (const code of ['COM001', 'COM002', 'COM003', 'APP001', 'MSG001'] as const)
    assert.equal(breakerOutcomeOf(remote(code)), 'success', code)
  assert.equal(breakerOutcomeOf(new ParleyError('COM001', 'no answer')), 'failure')
  assert.equal(breakerOutcomeOf(lost()), 'failure')
  assert.equal(breakerOutcomeOf(new ParleyError('MSG003', 'unreadable')), 'success')
  assert.equal(breakerOutcomeOf(new ParleyError('MSG004', 'does not speak it')), 'success')
  assert.equal(breakerOutcomeOf(new ParleyError('COM003', 'own queue full')), 'nothing')
  assert.equal(breakerOutcomeOf(new ParleyError('MSG001', 'does not fit')), 'nothing')
  assert.equal(breakerOutcomeOf(new ParleyError('COM002', 'stops', { details: { reason: 'stopping' } })), 'nothing')
  assert.equal(breakerOutcomeOf(new Error('aborted')), 'nothing')
  assert.equal(breakerOutcomeOf(breakerOpenError('p', 5)), 'nothing', 'what was not tried is no failure')
})

test('a caller that gave its call hardly any time is no judge of the peer', () => {
  const late = (): ParleyError => new ParleyError('COM001', 'no answer')
  const breakers = new PeerBreakers()
  for (let i = 0; i < 100; i += 1) breakers.failed('p', late(), i, undefined, 999.9)
  assert.ok(breakers.isQuiet())
  // A lost connection is one however soon it is noticed.
  for (let i = 0; i < 4; i += 1) breakers.failed('p', lost(), 100, undefined, 1)
  breakers.failed('p', late(), 100, undefined, 1_000)
  assert.equal(breakers.ask('p', 100).kind, 'refused')
  const patient = new PeerBreakers({ ...DEFAULT_BREAKER, minWaitMs: 5_000 })
  for (let i = 0; i < 5; i += 1) patient.failed('p', late(), 0, undefined, 4_999)
  assert.ok(patient.isQuiet())
  for (let i = 0; i < 5; i += 1) patient.failed('p', late(), 0)
  assert.equal(patient.ask('p', 0).kind, 'refused', 'they waited as long as their definition gives them')
})

test('a probe whose caller had hardly any time makes room for the next one', () => {
  const breakers = new PeerBreakers()
  fail(breakers, 5, 0)
  const probe = breakers.ask('p', 30_000)
  assert.ok(probe.kind === 'pass' && probe.probe !== undefined)
  breakers.failed('p', new ParleyError('COM001', 'no answer'), 30_002, probe.probe, 2)
  assert.ok(breakers.ask('p', 30_003).kind === 'pass')
})

test('the error of a refused call tells when to come again, and that nothing was sent', () => {
  const error = breakerOpenError('p', 1_234.5)
  assert.equal(error.code, 'COM002')
  assert.deepEqual(error.details, { sent: false, breaker: 'open', retryAfterMs: 1_235 })
  assert.ok(isBreakerOpenError(error))
  assert.ok(!isBreakerOpenError(lost()))
})

test('the table keeps as many as it may; the closed one used longest ago goes first, then the oldest open one', () => {
  const breakers = new PeerBreakers(DEFAULT_BREAKER, 3)
  const open = (peer: string): void => {
    for (let i = 0; i < 5; i += 1) breakers.failed(peer, lost(), 0)
  }
  const names = (): string[] =>
    breakers
      .view(0)
      .map(({ peer }) => peer)
      .sort()
  open('a')
  breakers.failed('b', lost(), 0)
  breakers.failed('c', lost(), 0)
  assert.deepEqual(names(), ['a', 'b', 'c'])
  breakers.failed('b', lost(), 0)
  breakers.failed('d', lost(), 0)
  assert.deepEqual(names(), ['a', 'b', 'd'], 'c was used longest ago of the closed ones')
  open('b')
  open('d')
  open('e')
  assert.deepEqual(names(), ['b', 'd', 'e'], 'all were open')
  assert.equal(breakers.counts().forgotten, 2)
})

test('with 0 failures there are no breakers', () => {
  const breakers = new PeerBreakers({ ...DEFAULT_BREAKER, failures: 0 })
  fail(breakers, 100, 0)
  assert.ok(breakers.isQuiet())
  assert.equal(breakers.ask('p', 0).kind, 'pass')
})

/** The same by the plainest means: everything that ever happened, looked through each time. */
const naive = (failures: number, windowMs: number, halfOpenAfterMs: number) => {
  let past: { atMs: number; ok: boolean }[] = []
  let until: number | undefined
  let probing: number | undefined
  return {
    ask(nowMs: number): string {
      if (until === undefined) return 'pass'
      if (nowMs < until) return 'refused'
      until = nowMs + halfOpenAfterMs
      return 'probe'
    },
    /** The probe that passed has this number. */
    passed(number: number): void {
      probing = number
    },
    success(): void {
      if (until !== undefined) past = []
      until = undefined
      probing = undefined
    },
    record(nowMs: number, ok: boolean): void {
      past.push({ atMs: nowMs, ok })
      if (ok) return
      const failed = past.filter((one) => !one.ok && nowMs - one.atMs < windowMs)
      const first = failed.at(-failures)
      if (first === undefined) return
      if (past.slice(past.indexOf(first)).filter((one) => one.ok).length > failures) return
      until = nowMs + halfOpenAfterMs
      past = []
    },
    isClosed: () => until === undefined,
    tell(nowMs: number, ok: boolean, number: number | undefined): void {
      if (until === undefined) this.record(nowMs, ok)
      else if (ok) this.success()
      else if (probing !== undefined && number === probing) {
        until = nowMs + halfOpenAfterMs
        probing = undefined
      }
    },
  }
}

test('it does what a plain model does, whatever happens in whatever order', () => {
  const action = fc.record({
    passMs: fc.nat(40),
    kind: fc.constantFrom('ask', 'fail', 'fail', 'ok', 'probe-fail', 'probe-ok'),
  })
  const settings = { failures: 3, windowMs: 50, halfOpenAfterMs: 60 }
  fc.assert(
    fc.property(fc.array(action, { maxLength: 200 }), (actions) => {
      const breakers = new PeerBreakers(settings)
      const model = naive(3, 50, 60)
      let nowMs = 0
      let probe: number | undefined
      for (const { passMs, kind } of actions) {
        nowMs += passMs
        if (kind === 'ask') {
          const pass = breakers.ask('p', nowMs)
          const got = pass.kind === 'refused' ? 'refused' : pass.probe === undefined ? 'pass' : 'probe'
          assert.equal(got, model.ask(nowMs))
          if (pass.kind === 'refused' || pass.probe === undefined) continue
          probe = pass.probe
          model.passed(probe)
          continue
        }
        const number = kind.startsWith('probe') ? probe : undefined
        const ok = kind.endsWith('ok')
        if (ok) breakers.success('p', nowMs, number)
        else breakers.failure('p', nowMs, number)
        model.tell(nowMs, ok, number)
        assert.equal((stateOf(breakers, nowMs) ?? 'closed') === 'closed', model.isClosed())
      }
    }),
    { numRuns: 500 },
  )
})
