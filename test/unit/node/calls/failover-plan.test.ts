/** Which peer a call to any goes to next: scripts, and any number of failures at random. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Candidate } from '../../../../discovery/directory/tables/offer-index.ts'
import { type ChoosePeer, FailoverPlan } from '../../../../node/calls/failover-plan.ts'
import type { MethodCodec } from '../../../../node/calls/method-codecs.ts'
import { ParleyError } from '../../../../protocols/errors.ts'

const target = (idempotent: boolean): MethodCodec =>
  ({
    protocol: 'math',
    major: 1,
    codec: { label: 'math.add', timeoutMs: 1_000, idempotent },
  }) as unknown as MethodCodec

const candidates = (...peers: string[]): Candidate[] => peers.map((peer) => ({ peer }) as unknown as Candidate)
const first: ChoosePeer = (all, tried) => all.find(({ peer }) => !tried.has(peer))

const refused = (): ParleyError => new ParleyError('COM003', 'busy', { hint: 'later' })
const lost = (): ParleyError => new ParleyError('COM002', 'gone', { hint: 'later', details: { sent: true } })

test('each candidate is asked once, and only the last one may be asked again and again', () => {
  const plan = new FailoverPlan(target(true), {}, [], 0)
  const steps: unknown[] = []
  for (const _ of [1, 2, 3]) {
    const step = plan.next(candidates('a', 'b', 'c'), first, 0)
    assert.equal(step.kind, 'call')
    if (step.kind !== 'call') return
    steps.push([step.peer, step.attempts])
    assert.equal(plan.failed(step.peer, refused()), true)
  }
  assert.deepEqual(steps, [
    ['a', 1],
    ['b', 1],
    ['c', undefined],
  ])
})

test('after all were busy they are asked twice more, with pauses, and then the last failure is the answer', () => {
  const plan = new FailoverPlan(target(false), {}, ['x'], 0)
  const script: string[] = []
  for (;;) {
    const step = plan.next(candidates('a', 'x'), first, 0)
    if (step.kind === 'call') {
      script.push(step.peer)
      plan.failed(step.peer, refused())
    } else if (step.kind === 'wait') script.push(`${step.delayMs} ms`)
    else {
      assert.equal(step.error instanceof ParleyError && step.error.code, 'COM003')
      break
    }
  }
  assert.deepEqual(script, ['a', '200 ms', 'a', '300 ms', 'a'])
})

test('what may have been handled goes to nobody else, but where the method is idempotent', () => {
  assert.equal(new FailoverPlan(target(false), {}, [], 0).failed('a', lost()), false)
  const plan = new FailoverPlan(target(true), {}, [], 0)
  assert.equal(plan.failed('a', lost()), true)
  assert.deepEqual(plan.next(candidates('a'), first, 0).kind, 'give-up')
})

test('the time is over at the deadline; progress puts it off, up to maxMs', () => {
  const plan = new FailoverPlan(target(true), { timeoutMs: 100, maxMs: 150 }, [], 0)
  assert.equal(plan.leftMs(40), 60)
  plan.progressed(80)
  assert.equal(plan.leftMs(80), 70)
  assert.deepEqual(plan.next(candidates('a'), first, 149), {
    kind: 'call',
    peer: 'a',
    timeoutMs: 1,
    attempts: undefined,
    maxMs: 1,
  })
  const over = plan.next(candidates('a'), first, 150)
  assert.equal(over.kind === 'give-up' && over.error instanceof ParleyError && over.error.code, 'COM001')
})

test('whoever is left out is never chosen, nobody is asked more than three times, and the plan always ends', () => {
  let seed = 7
  const random = (most: number): number => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31
    return Math.floor((seed / 2 ** 31) * most)
  }
  for (let run = 0; run < 2_000; run += 1) {
    const all = Array.from({ length: 1 + random(5) }, (_, at) => `p${at}`)
    const exclude = all.filter(() => random(4) === 0)
    const plan = new FailoverPlan(target(random(2) === 0), { timeoutMs: 5_000 }, exclude, 0)
    const choose: ChoosePeer = (list, tried) => {
      const left = list.filter(({ peer }) => !tried.has(peer))
      return left[random(left.length)]
    }
    const asked = new Map<string, number>()
    let steps = 0
    for (let nowMs = 0; ; steps += 1) {
      assert.ok(steps < 100, `run ${run} does not end`)
      const step = plan.next(candidates(...all), choose, nowMs)
      if (step.kind === 'give-up') break
      if (step.kind === 'wait') {
        nowMs += step.delayMs
        continue
      }
      assert.ok(!exclude.includes(step.peer))
      asked.set(step.peer, (asked.get(step.peer) ?? 0) + 1)
      if (!plan.failed(step.peer, random(3) === 0 ? lost() : refused())) break
    }
    for (const times of asked.values()) assert.ok(times <= 3)
  }
})
