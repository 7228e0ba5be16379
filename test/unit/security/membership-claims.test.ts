import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  Capability,
  checkMembership,
  hasCapability,
  MembershipClaims,
} from '../../../protocols/security/membership-claims.ts'

const claims: MembershipClaims = {
  iss: 'A'.repeat(43),
  sub: 'peer',
  aud: 'mesh',
  iat: 1000,
  exp: 2000,
  jti: 'id',
  roles: [],
  caps: ['*'],
}
const check = { peer: 'peer', mesh: 'mesh', authorities: [claims.iss], nowMs: 1_500_000 }
const reasonFor = (changes: Partial<MembershipClaims>, at: Partial<typeof check & { skewMs: number }> = {}): unknown =>
  checkMembership({ ...claims, ...changes }, { ...check, ...at })?.details.reason

test('fitting claims pass, and each one that does not fit gives its own reason', () => {
  assert.equal(checkMembership(claims, check), undefined)
  assert.equal(reasonFor({ aud: 'other' }), 'wrong-mesh')
  assert.equal(reasonFor({ iss: 'B'.repeat(43) }), 'wrong-authority')
  assert.equal(reasonFor({}, { authorities: [] }), 'wrong-authority')
  assert.equal(reasonFor({ sub: 'other' }), 'other-peer')
})

test('validity ends and begins to the millisecond, with 60 s for the clocks, or 5 % of the life where that is less', () => {
  assert.equal(reasonFor({}, { nowMs: 950_000 }), undefined)
  assert.equal(reasonFor({}, { nowMs: 949_999 }), 'not-yet-valid')
  assert.equal(reasonFor({}, { nowMs: 2_049_999 }), undefined)
  assert.equal(reasonFor({}, { nowMs: 2_050_000 }), 'expired')
  const long = { exp: 11_000 }
  assert.equal(reasonFor(long, { nowMs: 940_000 }), undefined)
  assert.equal(reasonFor(long, { nowMs: 939_999 }), 'not-yet-valid')
  assert.equal(reasonFor(long, { nowMs: 11_059_999 }), undefined)
  assert.equal(reasonFor(long, { nowMs: 11_060_000 }), 'expired')
  assert.equal(reasonFor({}, { nowMs: 1_000_000, skewMs: 0 }), undefined)
  assert.equal(reasonFor({}, { nowMs: 999_999, skewMs: 0 }), 'not-yet-valid')
  assert.equal(reasonFor({}, { nowMs: 1_999_999, skewMs: 0 }), undefined)
  assert.equal(reasonFor({}, { nowMs: 2_000_000, skewMs: 0 }), 'expired')
})

test('claims of the wrong shape are not claims', () => {
  assert.ok(MembershipClaims.safeParse(claims).success)
  const wrong = [
    { iss: 'short' },
    { sub: '' },
    { aud: 'x'.repeat(65) },
    { iat: 1.5 },
    { exp: 1000 },
    { exp: 999 },
    { jti: '' },
    { roles: ['x'.repeat(65)] },
    { caps: Array(129).fill('a') },
    { caps: ['**'] },
    { depth: 17 },
  ]
  for (const change of wrong) {
    assert.ok(!MembershipClaims.safeParse({ ...claims, ...change }).success, JSON.stringify(change))
  }
  assert.ok(MembershipClaims.safeParse({ ...claims, caps: Array(128).fill('a'), depth: 16 }).success)
})

test('a capability covers itself, what is below its prefix, or everything', () => {
  const covers = (held: string, needed: string): boolean => hasCapability([held], needed)
  for (const [held, needed] of [
    ['*', 'task.submit'],
    ['*', 'task.*'],
    ['task.submit', 'task.submit'],
    ['task.*', 'task.submit'],
    ['task.*', 'task.control.pause'],
    ['task.*', 'task.*'],
    ['task.*', 'task.control.*'],
    ['summarize', 'summarize'],
  ] as const) {
    assert.ok(covers(held, needed), `${held} covers ${needed}`)
  }
  for (const [held, needed] of [
    ['task.*', 'task'],
    ['task.*', 'tasks.submit'],
    ['task.*', '*'],
    ['task.submit', 'task.*'],
    ['task.submit', 'task.submit.now'],
    ['task.control.*', 'task.submit'],
    ['Task.*', 'task.submit'],
  ] as const) {
    assert.ok(!covers(held, needed), `${held} does not cover ${needed}`)
  }
  assert.ok(!hasCapability([], 'task.submit'))
  assert.ok(hasCapability(['resource.read', 'task.*'], 'task.submit'))
})

test('whatever a covered capability covers, the covering one covers too', () => {
  const word = fc.constantFrom('a', 'b', 'ab')
  const exact = fc.array(word, { minLength: 1, maxLength: 3 }).map((words) => words.join('.'))
  const any = fc.oneof(
    exact,
    exact.map((name) => `${name}.*`),
    fc.constant('*'),
  )
  fc.assert(
    fc.property(any, any, exact, (a, b, c) => {
      assert.ok([a, b, c].every((text) => Capability.safeParse(text).success))
      if (hasCapability([a], b) && hasCapability([b], c)) assert.ok(hasCapability([a], c))
    }),
    { numRuns: 2000 },
  )
})
