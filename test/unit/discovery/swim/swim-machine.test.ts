/** The failure detector, one step after another, by hand. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { MemberStatus, MembershipUpdate } from '../../../../discovery/swim/membership-update.ts'
import { type SwimInput, step } from '../../../../discovery/swim/swim-machine.ts'
import type { SwimSettings } from '../../../../discovery/swim/swim-settings.ts'
import { createSwimState, type SwimEffect } from '../../../../discovery/swim/swim-state.ts'

const ME = 'me'
const OWN = 1_000
/** Without jitter: the first probe after half a period. */
const HALF = (): number => 0.5
const SIZE = 10
/** Who has just connected need not be probed: the first probe of one of so few neighbours comes with the third period. */
const FIRST_MS = 1_250

/** One failed probe, and round figures. */
const PLAIN = { suspectAfter: 1, suspicionMs: 4_000 }

type Of<T extends SwimEffect['type']> = Extract<SwimEffect, { type: T }>

const start = (neighbours: readonly string[], settings: Partial<SwimSettings> = {}, members = SIZE) => {
  const swim = createSwimState({ id: ME, incarnation: OWN }, HALF, 0, { ...PLAIN, ...settings })
  let nowMs = 0
  const told: SwimEffect[] = []
  const give = (input: SwimInput): SwimEffect[] => {
    const effects = step(swim, input, nowMs)
    told.push(...effects)
    return effects
  }
  /** Lets time pass, with each tick when it is due. */
  const pass = (ms: number, react: (effect: SwimEffect) => void = () => {}): void => {
    const untilMs = nowMs + ms
    while (swim.wakeAtMs <= untilMs) {
      nowMs = Math.max(nowMs, swim.wakeAtMs)
      for (const effect of give({ type: 'tick', members })) react(effect)
    }
    nowMs = untilMs
  }
  for (const peer of neighbours) {
    give({ type: 'connected', peer })
    give({ type: 'acked', seq: 0, peer, incarnation: 1, news: [] })
  }
  told.length = 0
  return {
    swim,
    give,
    pass,
    /** As a process that is stopped for so long: nothing runs, then everything is late. */
    stall(ms: number) {
      nowMs += ms
      return give({ type: 'tick', members })
    },
    now: () => nowMs,
    told,
    of: <T extends SwimEffect['type']>(type: T): Of<T>[] =>
      told.filter((effect): effect is Of<T> => effect.type === type),
    standing: (peer: string): MemberStatus | undefined => swim.members.get(peer)?.standing,
    hear: (from: string, ...news: MembershipUpdate[]) => give({ type: 'probed', peer: from, incarnation: 1, news }),
  }
}
type Started = ReturnType<typeof start>

const claim = (peer: string, standing: MemberStatus, incarnation = 1, ...by: string[]): MembershipUpdate => ({
  peer,
  standing,
  incarnation,
  by,
})

/** Answers all probes but those of `silent`; relays know nothing of it but that it is silent. */
const living =
  (one: Started, ...silent: string[]) =>
  (effect: SwimEffect): void => {
    if (effect.type === 'probe' && !silent.includes(effect.peer))
      one.give({ type: 'acked', seq: effect.seq, peer: effect.peer, incarnation: 1, news: [] })
    if (effect.type === 'ask')
      one.give({ type: 'reported', seq: effect.seq, outcome: silent.includes(effect.target) ? 'silent' : 'heard' })
  }

describe('probes', () => {
  test('go to one neighbour a period, to each of them in turn', () => {
    const one = start(['a', 'b', 'c', 'd'])
    one.pass(5_000, living(one))
    const probed = one.of('probe').map(({ peer }) => peer)
    assert.ok(probed.length >= 7 && probed.length <= 9, `${probed.length}`)
    for (let n = 0; n + 4 <= probed.length; n += 1)
      assert.equal(new Set(probed.slice(n, n + 4)).size, 4, 'four in a row are four')
    assert.equal(one.of('suspect').length, 0)
  })

  test('are spared where the neighbour was heard a moment ago', () => {
    const one = start(['a'])
    for (let n = 0; n < 20; n += 1) {
      one.pass(240, living(one))
      one.hear('a')
    }
    assert.equal(one.of('probe').length, 0)
    assert.equal(one.of('answer').length, 20)
  })

  test('that are not answered in time go by three others and once more directly', () => {
    const one = start(['a', 'b', 'c', 'd'])
    one.pass(FIRST_MS)
    const [probe] = one.of('probe')
    assert.ok(probe)
    one.pass(199)
    assert.equal(one.of('ask').length, 0)
    one.pass(1)
    const asks = one.of('ask')
    assert.equal(asks.length, 3)
    assert.equal(new Set(asks.map(({ via }) => via)).size, 3)
    assert.ok(asks.every(({ via, target, seq }) => via !== probe.peer && target === probe.peer && seq === probe.seq))
    assert.deepEqual(
      one.of('probe').map(({ seq, peer }) => [seq, peer]),
      [
        [probe.seq, probe.peer],
        [probe.seq, probe.peer],
      ],
    )
  })

  test('that fail wherever they come from make a suspect; one that a relay heard does not', () => {
    for (const outcome of ['heard', 'silent'] as const) {
      const one = start(['a', 'b', 'c', 'd'])
      one.pass(FIRST_MS + 500, (effect) => {
        if (effect.type === 'ask') one.give({ type: 'reported', seq: effect.seq, outcome })
      })
      assert.equal(one.of('suspect').length > 0, outcome === 'silent')
    }
  })

  test('that nobody else could look into make a suspect only the second time', () => {
    const one = start(['a'])
    one.pass(FIRST_MS + 500)
    assert.equal(one.standing('a'), 'alive')
    one.pass(500)
    assert.equal(one.standing('a'), 'suspect', 'it is looked at again at once')
  })

  test('that only others can bring through are counted, and repeated, until the neighbour is heard again', () => {
    const one = start(['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'])
    const deaf = (effect: SwimEffect): void => {
      if (effect.type === 'ask') one.give({ type: 'reported', seq: effect.seq, outcome: 'heard' })
      else if (effect.type === 'probe' && effect.peer !== 'a') living(one)(effect)
    }
    one.pass(20_000, deaf)
    const a = one.swim.members.get('a')
    assert.ok(a !== undefined && a.unanswered >= 10, `${a?.unanswered} times`)
    assert.ok(one.now() - a.unansweredSinceMs > 10_000)
    assert.equal(one.of('suspect').length, 0)
    assert.ok([...one.swim.neighbours.values()].every(({ peer, unanswered }) => peer === 'a' || unanswered === 0))
    one.hear('a')
    assert.equal(a.unanswered, 0)
  })

  test('must fail as often as was told', () => {
    const failed = (suspectAfter: number): number => {
      const one = start(['a', 'b'], { suspectAfter })
      one.pass(8_000, living(one, 'a'))
      const first = one.told.findIndex(({ type }) => type === 'suspect')
      return new Set(one.told.slice(0, first).flatMap((e) => (e.type === 'probe' && e.peer === 'a' ? [e.seq] : [])))
        .size
    }
    assert.deepEqual([1, 2, 4].map(failed), [1, 2, 4])
  })

  test('for others are answered with what was found out, at once by who cannot tell', () => {
    const one = start(['a', 'b', 'asker'])
    assert.deepEqual(one.give({ type: 'asked', peer: 'asker', id: 7, target: 'stranger' }), [
      { type: 'report', to: 'asker', id: 7, outcome: 'unknown' },
    ])
    for (const outcome of ['heard', 'silent'] as const) {
      const [probe] = one.give({ type: 'asked', peer: 'asker', id: 8, target: 'a' })
      assert.ok(probe?.type === 'probe' && probe.peer === 'a')
      const { seq } = probe
      if (outcome === 'heard') one.give({ type: 'acked', seq, peer: 'a', incarnation: 1, news: [] })
      else one.pass(200)
      assert.deepEqual(one.of('report').at(-1), { type: 'report', to: 'asker', id: 8, outcome })
    }
    assert.equal(one.standing('a'), 'alive', 'what failed for another is no accusation')
  })
})

describe('a suspicion', () => {
  test('ends as a death when its time is over, the sooner the more confirm it', () => {
    const deadAfter = (...confirming: string[]): number => {
      const one = start(['a', 'b', 'c', 'd', 'e'])
      one.pass(3_000, living(one, 'a'))
      assert.equal(one.standing('a'), 'suspect')
      const since = one.swim.members.get('a')?.suspectedAtMs ?? 0
      for (const by of confirming) one.hear('b', claim('a', 'suspect', 1, by))
      let ms = 0
      while (one.standing('a') === 'suspect' && ms < 60_000) {
        one.pass(10, living(one, 'a'))
        ms += 10
      }
      return one.now() - since
    }
    const times = [
      deadAfter(),
      deadAfter('b'),
      deadAfter('b', 'c'),
      deadAfter('b', 'c', 'd'),
      deadAfter('b', 'c', 'd', 'e'),
    ]
    const expected = [12_000, 8_000, 5_660, 4_000, 4_000]
    for (const [n, ms] of times.entries()) assert.ok(Math.abs(ms - (expected[n] ?? 0)) <= 20, `${n}: ${ms} ms`)
    assert.equal(deadAfter('b', 'b', 'me'), times[1], 'nobody counts twice')
  })

  test('is refuted by a higher incarnation, told by the peer itself or by others', () => {
    const refutations: ((one: Started) => void)[] = [
      (one) => one.hear('b', claim('a', 'alive', 2)),
      (one) => one.give({ type: 'probed', peer: 'a', incarnation: 2, news: [] }),
      (one) => one.give({ type: 'acked', seq: 0, peer: 'a', incarnation: 2, news: [] }),
      (one) => one.give({ type: 'member', peer: 'a', incarnation: 2_000 }),
    ]
    for (const refute of refutations) {
      const one = start(['a', 'b', 'c'])
      one.hear('b', claim('a', 'suspect', 1, 'b', 'c'))
      assert.equal(one.standing('a'), 'suspect')
      one.hear('b', claim('a', 'alive', 1))
      assert.equal(one.standing('a'), 'suspect', 'the same incarnation is no refutation')
      refute(one)
      assert.equal(one.standing('a'), 'alive')
      one.pass(30_000, living(one))
      assert.equal(one.of('dead').length, 0)
    }
  })

  test('is told to the suspect with the next message to it, before everything else', () => {
    const one = start(['a', 'b'])
    one.hear('b', ...Array.from({ length: 20 }, (_, n) => claim(`x${n}`, 'suspect', 1, 'b')))
    one.hear('b', claim('a', 'suspect', 1, 'b'))
    const [answer] = one.give({ type: 'probed', peer: 'a', incarnation: 1, news: [] })
    assert.ok(answer?.type === 'answer')
    assert.deepEqual(answer.news[0], claim('a', 'suspect', 1, 'b'))
    assert.equal(answer.news.length, 12)
  })

  test('makes the suspect the next to be probed', () => {
    const one = start(['a', 'b', 'c', 'd', 'e', 'f'])
    one.pass(300, living(one))
    one.told.length = 0
    one.hear('b', claim('f', 'suspect', 1, 'b'))
    one.pass(1_000, living(one, 'f'))
    assert.ok(one.of('probe').some(({ peer }) => peer === 'f'))
  })

  test('is dropped where the suspect answers a probe that told of it without a word: it knows none', () => {
    const one = start(['a', 'b'])
    one.hear('b', claim('a', 'suspect', 1, 'b'))
    one.pass(1_100, living(one))
    assert.equal(one.standing('a'), 'alive')
  })
})

describe('news of a death', () => {
  test('is believed at once of somebody who is not connected', () => {
    const one = start(['b'])
    one.hear('b', claim('far', 'dead'))
    assert.deepEqual(one.of('dead'), [{ type: 'dead', peer: 'far', silentMs: undefined }])
  })

  test('of a neighbour is looked into first: who answers is not dead', () => {
    const one = start(['a', 'b'])
    const effects = one.hear('b', claim('a', 'dead', 1, 'b'))
    const probe = effects.find((effect): effect is Of<'probe'> => effect.type === 'probe')
    assert.ok(probe?.peer === 'a')
    assert.equal(probe.news[0]?.standing, 'dead', 'it is told that it is thought dead')
    assert.equal(one.standing('a'), 'suspect', 'and gets no work until then')
    one.give({ type: 'acked', seq: probe.seq, peer: 'a', incarnation: 2, news: [] })
    assert.equal(one.standing('a'), 'alive')
    one.pass(30_000, living(one))
    assert.equal(one.of('dead').length, 0)
  })

  test('of a neighbour that does not answer is believed a moment later', () => {
    const one = start(['a', 'b'])
    one.hear('b', claim('a', 'dead', 1, 'b'))
    one.pass(200, living(one, 'a'))
    assert.equal(one.of('dead').length, 1)
    assert.equal(one.standing('a'), 'dead')
  })

  test('is outdone by a new life, and by a higher incarnation', () => {
    for (const incarnation of [2, 5_000]) {
      const one = start(['b'])
      one.hear('b', claim('far', 'dead', 1))
      one.hear('b', claim('far', 'alive', incarnation))
      assert.equal(one.standing('far'), 'alive')
      assert.deepEqual(
        one.of('alive').map(({ peer }) => peer),
        ['far'],
      )
    }
  })
})

describe('a node that hears itself accused', () => {
  test('raises its incarnation above the accusation, says so, and first to who told it', () => {
    const one = start(['a', 'b'])
    const effects = one.give({
      type: 'acked',
      seq: 0,
      peer: 'a',
      incarnation: 1,
      news: [claim(ME, 'suspect', OWN + 3, 'b')],
    })
    assert.equal(one.swim.incarnation, OWN + 4)
    assert.deepEqual(
      effects.filter(({ type }) => type === 'refuted'),
      [{ type: 'refuted', was: 'suspect', incarnation: OWN + 4, isPresumedDead: false }],
    )
    assert.ok(effects.some((effect) => effect.type === 'probe' && effect.peer === 'a'))
    const answer = one.hear('b')[0]
    assert.ok(answer?.type === 'answer')
    assert.deepEqual(answer.news, [claim(ME, 'alive', OWN + 4)])
  })

  test('and stood still for as long as a suspicion lasts may have been called dead', () => {
    const presumed = (stillMs: number, standing: MemberStatus): boolean[] => {
      const one = start(['a', 'b'])
      one.stall(stillMs)
      one.hear('a', claim(ME, standing, OWN))
      return one.of('refuted').map(({ isPresumedDead }) => isPresumedDead)
    }
    assert.deepEqual(presumed(3_900, 'suspect'), [false])
    assert.deepEqual(presumed(6_000, 'suspect'), [true])
    assert.deepEqual(presumed(1, 'dead'), [true])
  })

  test('does not mind an old accusation, nor one at the end of all numbers', () => {
    const one = start(['a'])
    one.hear('a', claim(ME, 'dead', OWN - 1))
    one.hear('a', claim(ME, 'dead', Number.MAX_SAFE_INTEGER))
    assert.equal(one.swim.incarnation, OWN)
    assert.equal(one.of('refuted').length, 0)
  })

  test('says nothing against it once it leaves, and probes nobody', () => {
    const one = start(['a', 'b'])
    one.give({ type: 'leave' })
    one.hear('a', claim(ME, 'dead', OWN))
    one.pass(5_000)
    assert.equal(one.swim.incarnation, OWN)
    assert.equal(one.of('probe').length, 0)
    assert.deepEqual(one.of('answer'), [{ type: 'answer', to: 'a', news: [] }])
  })
})

describe('a connection that closes', () => {
  test('is a hint: others are asked at once, and who was heard by one of them is alive', () => {
    const one = start(['a', 'b', 'c', 'd', 'e'])
    const effects = one.give({ type: 'disconnected', peer: 'a', parted: false })
    assert.deepEqual(
      effects.map(({ type }) => type),
      ['ask', 'ask', 'ask'],
    )
    const [ask] = effects
    assert.ok(ask?.type === 'ask')
    assert.deepEqual(one.give({ type: 'reported', seq: ask.seq, outcome: 'heard' }), [{ type: 'alive', peer: 'a' }])
    one.pass(30_000, living(one))
    assert.equal(one.of('suspect').length, 0)
  })

  test('makes a suspect within a probe where nobody heard the peer, unless it is back by then', () => {
    for (const isBack of [false, true]) {
      const one = start(['a', 'b', 'c'])
      one.give({ type: 'disconnected', peer: 'a', parted: false })
      if (isBack) one.give({ type: 'connected', peer: 'a' })
      one.pass(600, living(one, 'a'))
      assert.equal(one.standing('a'), isBack ? 'alive' : 'suspect')
    }
  })

  test('says nothing where both gave it up, or the peer has left', () => {
    const parted = start(['a', 'b'])
    assert.deepEqual(parted.give({ type: 'disconnected', peer: 'a', parted: true }), [])
    const left = start(['a', 'b'])
    left.give({ type: 'left', peer: 'a', incarnation: 1, departure: 'stop' })
    assert.deepEqual(left.give({ type: 'disconnected', peer: 'a', parted: false }), [])
    for (const one of [parted, left]) {
      one.pass(30_000, living(one))
      assert.equal(one.of('suspect').length + one.of('dead').length, 0)
    }
    assert.deepEqual(left.of('left'), [{ type: 'left', peer: 'a', departure: 'stop' }])
  })
})

describe('a node that is slow itself', () => {
  test('that stood still condemns nobody for what it did not hear', () => {
    const one = start(['a', 'b', 'c'])
    one.pass(FIRST_MS)
    const [probe] = one.of('probe')
    assert.ok(probe)
    one.stall(5_000)
    assert.equal(one.of('ask').length + one.of('suspect').length, 0)
    assert.equal(one.swim.counts.stalls, 1)
    assert.equal(one.swim.health, 1)
    one.give({ type: 'acked', seq: probe.seq, peer: probe.peer, incarnation: 1, news: [] })
    one.pass(20_000, living(one))
    assert.equal(one.of('suspect').length, 0)
    assert.equal(one.swim.health, 0, 'and is well again after a few probes')
  })

  test('that stood still gives a suspect all of its time', () => {
    const one = start(['a', 'b', 'c'])
    one.hear('b', claim('a', 'suspect', 1, 'b', 'c', 'd', 'e'))
    one.stall(60_000)
    assert.equal(one.standing('a'), 'suspect')
  })

  test('hears nothing of its relays, and takes longer for everything', () => {
    const one = start(['a', 'b', 'c', 'd'])
    one.pass(FIRST_MS + 500)
    assert.equal(one.swim.health, 3, 'three relays were silent')
    one.told.length = 0
    one.pass(10_000)
    assert.ok(new Set(one.of('probe').map(({ seq }) => seq)).size <= 6, 'a probe each two seconds, and then less')
    assert.equal(one.swim.health, 8, 'and not more than so')
  })
})

test('who is wrong about somebody is told so in the answer', () => {
  const one = start(['a', 'b'])
  one.hear('b', claim('far', 'alive', 9))
  while (one.swim.broadcasts.size() > 0) one.hear('b')
  const [answer] = one.hear('a', claim('far', 'suspect', 8, 'a'))
  assert.ok(answer?.type === 'answer')
  assert.deepEqual(answer.news, [claim('far', 'alive', 9)])
})

test('news is forgotten after a while, and a mesh at rest keeps its neighbours only', () => {
  const one = start(['a', 'b'])
  one.hear('b', claim('far', 'dead'), claim('near', 'alive', 4))
  one.pass(30_000, living(one))
  assert.equal(one.swim.members.size, 4)
  one.pass(60_000, living(one))
  assert.deepEqual([...one.swim.members.keys()], ['a', 'b'])
})

test('as many peers with news are remembered as was told, and one more takes the place of the oldest', () => {
  const one = start(['a'], { maxMembers: 2 })
  for (const peer of ['x', 'y', 'z']) {
    one.hear('a', claim(peer, 'dead'))
    one.pass(1, living(one))
  }
  assert.deepEqual([...one.swim.members.keys()], ['a', 'y', 'z'])
  assert.equal(one.swim.counts.membersDropped, 1)
})
