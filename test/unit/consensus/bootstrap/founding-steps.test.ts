/** The pure steps of a founding: each rule on its own, and all of them against everything that can go wrong. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { planFounding } from '../../../../protocols/consensus/bootstrap/founding-plan.ts'
import type { FoundingRecord, Proposal } from '../../../../protocols/consensus/bootstrap/founding-record.ts'
import {
  adoptMeshId,
  type FoundingState,
  onAnswer,
  onProposal,
  propose,
  resume,
} from '../../../../protocols/consensus/bootstrap/founding-steps.ts'
import { createFoundingWorld, type Mistake } from './founding-world.ts'

const [A, B, C, D] = ['a.01', 'b.02', 'c.03', 'd.04'] as const
const ABC = [A, B, C]
const meshIdOf = (set: readonly string[]): string => set.join('+')
const start = (member: string, saved?: FoundingRecord, expect: number | undefined = 3): FoundingState =>
  resume({ member, expect, meshIdOf }, saved)
const proposal = (counter: number, proposer: string, set: readonly string[] = ABC): Proposal => ({
  round: { counter, proposer },
  set,
})
const promised = (member: string, to = proposal(1, A)): FoundingState => onProposal(start(member), to).state

test('a set is founded by whoever has heard all of its promises, and by whoever hears of it', () => {
  const own = propose(start(A), ABC, 0)
  assert.deepEqual(own.result, proposal(1, A))
  assert.deepEqual(own.state.promised, [A])
  const one = onAnswer(own.state, proposal(1, A), { verdict: 'promised', member: B }).state
  assert.equal(one.record.founded, undefined)
  // The same answer once more is no second member.
  assert.equal(onAnswer(one, proposal(1, A), { verdict: 'promised', member: B }).state.record.founded, undefined)
  const all = onAnswer(one, proposal(1, A), { verdict: 'promised', member: C }).state
  assert.deepEqual(all.record, {
    member: A,
    highest: { counter: 1, proposer: A },
    founded: { meshId: meshIdOf(ABC), members: ABC },
  })
  const answer = { verdict: 'founded', member: A, meshId: meshIdOf(ABC) } as const
  assert.deepEqual(onProposal(all, proposal(1, A)).result, answer)
  assert.deepEqual(onAnswer(promised(B), proposal(1, A), answer).state.record.founded?.members, ABC)
  assert.equal(adoptMeshId(promised(C), meshIdOf(ABC)).result, 'same')
  assert.deepEqual(adoptMeshId(promised(C), meshIdOf(ABC)).state.record.founded?.members, ABC)
})

test('a member promises one proposal at a time, and the same one as often as it is asked', () => {
  const bound = promised(B)
  assert.deepEqual(onProposal(bound, proposal(1, A)), { state: bound, result: { verdict: 'promised', member: B } })
  const { state, result } = onProposal(bound, proposal(2, C))
  assert.equal(result.verdict, 'refused')
  assert.deepEqual(state.record, { ...bound.record, highest: { counter: 2, proposer: C } })
  assert.equal(propose(bound, ABC, 0).result, undefined)
})

test('what was refused once is refused for ever, also after a restart and when the member is free', () => {
  const refused = onProposal(promised(B), proposal(2, C)).state.record
  const free = onAnswer(start(B, refused), proposal(1, A), { verdict: 'refused', member: C }).state
  assert.equal(free.record.promise, undefined)
  for (const one of [proposal(2, C), proposal(1, A), proposal(1, B), proposal(2, B, [A, B, D])]) {
    assert.equal(onProposal(start(B, free.record), one).result.verdict, 'refused', JSON.stringify(one))
  }
  assert.equal(onProposal(start(B, free.record), proposal(3, A)).result.verdict, 'promised')
})

test('a promise stands until a member of its very set refuses that very proposal', () => {
  const bound = promised(B)
  const refusals: [Proposal, string][] = [
    [proposal(2, A), A],
    [proposal(1, A, [A, B, D]), A],
    [proposal(1, A), D],
    [proposal(1, A), 'c.ff'],
  ]
  for (const [to, member] of refusals) assert.equal(onAnswer(bound, to, { verdict: 'refused', member }).state, bound)
  assert.equal(onAnswer(bound, proposal(1, A), { verdict: 'founded', member: A, meshId: 'other' }).state, bound)
  assert.equal(onAnswer(bound, proposal(1, A), { verdict: 'refused', member: C }).state.record.promise, undefined)
})

test('a set of another size, or without this member as it is now, is refused, and so is any by a joiner', () => {
  const wrong = [proposal(1, A, [A, B]), proposal(1, A, [A, 'b.99', C])]
  for (const one of wrong) {
    const { state, result } = onProposal(start(B), one)
    assert.deepEqual(result, { verdict: 'refused', member: B })
    assert.deepEqual(state.record.highest, one.round)
    assert.equal(propose(start(B), one.set, 0).result, undefined)
  }
  const joiner = resume({ member: B, expect: undefined, meshIdOf }, undefined)
  assert.equal(onProposal(joiner, proposal(1, A)).result.verdict, 'refused')
  // It may be told another `expect` later; what it refused stays refused.
  const later = start(B, onProposal(joiner, proposal(1, A)).state.record)
  assert.equal(onProposal(later, proposal(1, A)).result.verdict, 'refused')
})

test('a founded mesh is joined by whoever is free, later by whoever is bound, never by a member of another', () => {
  const adopted = adoptMeshId(start(B), 'mesh')
  assert.deepEqual([adopted.result, adopted.state.record.adopted], ['adopted', { meshId: 'mesh' }])
  assert.equal(adoptMeshId(adopted.state, 'mesh').result, 'same')
  assert.equal(adoptMeshId(adopted.state, 'other').result, 'conflict')
  assert.equal(propose(adopted.state, ABC, 0).result, undefined)
  assert.deepEqual(onProposal(adopted.state, proposal(9, A)).result, { verdict: 'refused', member: B, meshId: 'mesh' })
  const deferred = adoptMeshId(promised(B), 'mesh')
  assert.equal(deferred.result, 'deferred')
  const free = onAnswer(deferred.state, proposal(1, A), { verdict: 'refused', member: C }).state
  assert.deepEqual([free.record.promise, free.record.adopted], [undefined, { meshId: 'mesh' }])
  // Whoever refuses since it belongs to a mesh says which.
  const told = onAnswer(promised(B), proposal(1, A), { verdict: 'refused', member: C, meshId: 'theirs' }).state
  assert.deepEqual(told.record.adopted, { meshId: 'theirs' })
})

test('a member whose log store is lost comes back as another: a learner of its mesh, bound by what it had promised', () => {
  const founded = { meshId: meshIdOf(ABC), members: ABC }
  const highest = { counter: 1, proposer: A }
  const learner = start('b.99', { member: B, highest, founded })
  assert.deepEqual(learner.record, { member: 'b.99', highest, adopted: { meshId: meshIdOf(ABC) } })
  const bound = start('b.99', promised(B).record)
  assert.deepEqual(onProposal(bound, proposal(1, A)).result, { verdict: 'promised', member: B })
  assert.equal(propose(bound, [A, 'b.99', C], 0).result, undefined)
  const complete = ABC.reduce(
    (state, member) => onAnswer(state, proposal(1, A), { verdict: 'promised', member }).state,
    bound,
  )
  assert.deepEqual(complete.record, learner.record)
  const free = onAnswer(bound, proposal(1, A), { verdict: 'refused', member: C }).state
  assert.deepEqual(free.record, { member: 'b.99', highest })
})

test('one that expects nobody else founds in one step', () => {
  const { state } = propose(start(A, undefined, 1), [A], 0)
  assert.deepEqual(state.record.founded, { meshId: A, members: [A] })
})

test('a proposer takes a round above all that it has heard of', () => {
  assert.equal(propose(start(A), ABC, 41).result?.round.counter, 42)
  const refused = onProposal(promised(A, proposal(1, B)), proposal(7, C)).state
  const free = onAnswer(refused, proposal(1, B), { verdict: 'refused', member: C }).state
  assert.equal(propose(free, ABC, 3).result?.round.counter, 8)
})

test('the lowest of enough candidates proposes the lowest of them; nobody does while some are bound or expect others', () => {
  const standing = (member: string, more = {}) => ({
    state: 'candidate' as const,
    member,
    expect: 3,
    counter: 0,
    ...more,
  })
  const own = standing(B)
  assert.match(planFounding(own, [standing(A)]).problem ?? '', /2 of the 3/)
  assert.deepEqual(planFounding(own, [standing(D), standing(A), standing(C)]), {
    candidates: [A, B, C, D],
    set: ABC,
    rank: 1,
  })
  const last = planFounding(standing(D), [standing(A), standing(B), standing(C)])
  assert.deepEqual([last.set, last.rank], [undefined, undefined])
  const bound = planFounding(own, [standing(A), standing(C), standing(D, { state: 'promised' })])
  assert.deepEqual([bound.set, /founded by others: d/.test(bound.problem ?? '')], [undefined, true])
  const divided = planFounding(own, [standing(A), standing(C), standing(D, { expect: 5 })])
  assert.deepEqual([divided.set, divided.isDivided], [undefined, true])
  assert.match(divided.problem ?? '', /3 \(a, b, c\), 5 \(d\)/)
  const joiner = { state: 'joiner' as const, member: D, counter: 0 }
  assert.equal(planFounding(own, [standing(A), standing(C), joiner]).rank, 1)
})

/** What is played with: from just enough candidates to more than twice as many. */
const sizes = fc.constantFrom<number[]>([2, 2], [3, 2], [3, 3], [4, 3], [5, 3], [7, 3], [5, 5], [7, 5])
const seeds = fc.integer({ min: 1, max: 2 ** 31 - 1 })

test('no two sets with a common member are ever founded, whatever is lost, late, doubled or crashed', () => {
  const sums: Record<string, number> = {}
  const play = (seed: number, [members = 3, expect = 3]: number[], losesDisks: boolean): void => {
    const world = createFoundingWorld({ seed, members, expect, losesDisks })
    for (let step = 0; step < 400; step += 1) world.step()
    for (const [name, count] of Object.entries(world.counts)) sums[name] = (sums[name] ?? 0) + count
  }
  fc.assert(fc.property(seeds, sizes, fc.boolean(), play), { numRuns: 1_000 })
  // All of it came up, often.
  for (const [name, count] of Object.entries(sums)) assert.ok(count > 50, `${name}: ${count}`)
})

test('once all is well again, everybody belongs to a mesh', () => {
  fc.assert(
    fc.property(seeds, sizes, fc.integer({ min: 0, max: 200 }), (seed, [members = 3, expect = 3], steps) => {
      const world = createFoundingWorld({ seed, members, expect })
      for (let step = 0; step < steps; step += 1) world.step()
      assert.ok(world.recover(), `seed ${seed}`)
      assert.ok(world.founded().length >= 1)
    }),
    { numRuns: 500 },
  )
})

const MISTAKES: Mistake[] = ['refusal not saved', 'promise not saved', 'crash frees', 'stranger speaks']
for (const mistake of MISTAKES) {
  test(`the check is able to fail: ${mistake}`, () => {
    const isFound = (seed: number): boolean => {
      const world = createFoundingWorld({
        seed,
        members: 3,
        expect: 3,
        losesDisks: mistake === 'stranger speaks',
        mistake,
      })
      try {
        for (let step = 0; step < 400; step += 1) world.step()
        return false
      } catch {
        return true
      }
    }
    assert.ok(Array.from({ length: 3_000 }, (_, i) => i + 1).some(isFound))
  })
}
