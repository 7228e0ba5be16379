/** The coordinator from every node's side, over whole nodes in virtual time: found, followed, replaced, handed over. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { coordinatorProtocol, epochEvent } from '../../../protocols/coordinator/contract.ts'
import { isParleyError } from '../../../protocols/errors.ts'
import { EPOCHS_PREFIX, EpochSchema, FEATURE_LEVEL_KEY } from '../../../protocols/journal/state/built-in-kinds.ts'
import { createJournalMesh, type JournalMesh, type JournalNode } from '../../support/journal-mesh.ts'

/** Quick, so that a test need not run for long. */
const QUICK = { stableMs: 300, replaceAfterMs: 4_000, dropLearnerAfterMs: 3_000 }
const NEVER = new AbortController().signal

const outcome = async (promise: Promise<unknown>): Promise<unknown> => {
  try {
    return await promise
  } catch (error) {
    if (!isParleyError(error)) throw error
    return [error.code, error.details.reason].filter((one) => one !== undefined).join(' ')
  }
}
const followers = (mesh: JournalMesh): JournalNode[] => mesh.up().filter((node) => node !== mesh.leader())
const votersOf = (mesh: JournalMesh): string[] => [...(mesh.leader()?.coordinator.status().voters ?? [])].sort()
const epochsOf = async (mesh: JournalMesh, { journal }: JournalNode) => {
  const { records } = await mesh.time.settled(journal.list(EPOCHS_PREFIX), 2_000)
  return records.map(({ value }) => EpochSchema.parse(value))
}

test('nodes that found together elect one, and one that comes later without a seat finds it within a second', async () => {
  const mesh = createJournalMesh({ autopilot: QUICK })
  const founders = await mesh.found(3)
  const guest = await mesh.start('guest', { mayVote: false })
  const tookMs = await mesh.time.until(() => guest.coordinator.status().leader !== undefined, 1_000)
  assert.ok(tookMs < 1_000, `${tookMs} ms`)
  const leader = mesh.leader()
  assert.ok(leader)
  assert.deepEqual(
    founders.map(({ coordinator }) => coordinator.status().acting),
    founders.map((node) => node === leader),
  )
  await mesh.time.run(1_100)
  const { epoch, leader: known, role, quorum, voters } = guest.coordinator.status()
  assert.deepEqual([epoch, known, role, quorum], [2, leader.id, 'none', true])
  assert.deepEqual([...voters].sort(), founders.map(({ id }) => id).sort())
})

test('another epoch is heard of by all within a second of its beginning, and stands in the history', async () => {
  for (const seed of [1, 2, 3]) {
    const mesh = createJournalMesh({ seed })
    await mesh.found(3)
    const guest = await mesh.start('guest', { mayVote: false })
    await mesh.time.until(() => guest.coordinator.status().leader !== undefined, 1_000)
    const first = mesh.leader()
    assert.ok(first)
    mesh.kill(first)
    const second = await mesh.untilLeader(5_000)
    const epoch = second.coordinator.acting()
    const tookMs = await mesh.time.until(
      () => mesh.up().every(({ coordinator }) => coordinator.status().epoch === epoch),
      1_000,
    )
    assert.ok(tookMs < 500, `${tookMs} ms`)
    assert.deepEqual(
      (await epochsOf(mesh, guest)).map((one) => [one.epoch, one.leader, one.name]),
      [
        [2, first.id, first.name],
        [epoch, second.id, second.name],
      ],
    )
  }
})

test('what runs for as long as a node coordinates ends with that, and runs at the next one', async () => {
  const mesh = createJournalMesh()
  const nodes = await mesh.found(3)
  const runs: { name: string; epoch: number; signal: AbortSignal }[] = []
  for (const { name, coordinator } of nodes)
    coordinator.act(({ epoch, signal }) => void runs.push({ name, epoch, signal }))
  const first = mesh.leader()
  assert.ok(first)
  mesh.cut([first], followers(mesh))
  await mesh.untilLeader(5_000, first)
  await mesh.time.until(() => runs[0]?.signal.aborted === true, 2_000)
  const second = mesh.leader()
  assert.deepEqual(
    runs.map(({ name, epoch, signal }) => [name, epoch, signal.aborted]),
    [
      [first.name, 2, true],
      [second?.name, second?.coordinator.acting(), false],
    ],
  )
})

test('one that was frozen while another one took over acts no more once it hears of that, and decides nothing', async () => {
  const mesh = createJournalMesh()
  await mesh.found(3)
  const frozen = mesh.leader()
  assert.ok(frozen)
  let signal: AbortSignal | undefined
  frozen.coordinator.act((facts) => {
    signal = facts.signal
  })
  await mesh.time.settled(frozen.journal.put('before', 1), 1_000)
  frozen.life.freeze()
  const next = await mesh.untilLeader(5_000, frozen)
  await mesh.time.settled(next.journal.put('meanwhile', 1), 2_000)
  await mesh.time.run(3_000)
  assert.equal(signal?.aborted, false, 'it cannot know')
  // What it does in the moment of waking is for its old term.
  const stale = outcome(frozen.seat()?.group.propose(new TextEncoder().encode('{}')) ?? Promise.reject())
  frozen.life.thaw()
  const tookMs = await mesh.time.until(() => signal?.aborted === true, 1_000)
  assert.ok(tookMs <= 100, `${tookMs} ms`)
  assert.match(String(await mesh.time.settled(stale, 3_000)), /^STA003 (superseded|not-leader)$/)
  await mesh.time.until(() => frozen.value('meanwhile') === 1, 3_000)
  assert.equal(mesh.leader(), next)
  assert.equal(frozen.coordinator.status().acting, false)
})

test('one whose disk has no room acts no more, and acts again in a term of its own', async () => {
  const mesh = createJournalMesh()
  await mesh.found(1)
  const [node] = mesh.up()
  assert.ok(node?.disk)
  const seen: boolean[] = []
  node.coordinator.act(({ signal }) => {
    seen.push(true)
    signal.addEventListener('abort', () => seen.push(false))
  })
  await mesh.time.settled(node.journal.put('a', 1), 1_000)
  node.disk.room = 0
  const stuck = node.journal.put('b', 1)
  await mesh.time.until(() => node.coordinator.acting() === undefined, 3_000)
  assert.deepEqual([seen, node.coordinator.status().acting], [[true, false], false])
  node.disk.room = Number.POSITIVE_INFINITY
  await mesh.time.until(() => node.coordinator.acting() !== undefined, 5_000)
  await mesh.time.settled(stuck, 5_000)
  assert.deepEqual(seen, [true, false, true])
})

test('one whose log failed acts no more, and takes its seat again when the disk is well', async () => {
  const mesh = createJournalMesh()
  await mesh.found(3)
  const leader = mesh.leader()
  assert.ok(leader?.disk)
  let isOver = false
  leader.coordinator.act(({ signal }) => {
    signal.addEventListener('abort', () => {
      isOver = true
    })
  })
  leader.disk.failSync = true
  void leader.journal.put('a', 1).catch(() => {})
  await mesh.time.until(() => isOver, 1_000)
  const next = await mesh.untilLeader(5_000, leader)
  assert.notEqual(next, leader)
  leader.disk.failSync = false
  await mesh.time.settled(next.journal.put('b', 2), 3_000)
  const has = async (): Promise<boolean> =>
    (await leader.journal.get('b', { consistency: 'local' }).catch(() => undefined))?.value === 2
  let isBack = false
  await mesh.time.until(() => {
    if (leader.coordinator.status().role === 'voter' && leader.coordinator.status().leader === next.id)
      has().then((found) => {
        isBack ||= found
      })
    return isBack
  }, 10_000)
  assert.equal(leader.coordinator.status().version >= next.coordinator.status().version - 1, true)
})

test('a node that hears nothing of a coordinator says that nothing can be decided, and that it can once one is back', async () => {
  const mesh = createJournalMesh()
  const nodes = await mesh.found(3)
  const guests = [await mesh.start('g0', { mayVote: false }), await mesh.start('g1', { mayVote: false })]
  await mesh.time.run(1_000)
  const [left, ...rest] = nodes
  for (const node of rest) mesh.kill(node)
  // They ask each other all the time; that is not the same as hearing it.
  const asking = guests.map(({ journal }) => outcome(journal.put('a', 1)))
  await mesh.time.run(4_000)
  for (const { coordinator } of [left, ...guests].flatMap((node) => node ?? []))
    assert.equal(coordinator.status().quorum, false)
  for (const { name } of rest) await mesh.start(name)
  await mesh.time.until(() => mesh.up().every(({ coordinator }) => coordinator.status().quorum), 5_000)
  for (const one of asking) assert.equal(typeof (await mesh.time.settled(one, 3_000)), 'object')
})

test('a learner that is cut off does not go on believing in its leader', async () => {
  const mesh = createJournalMesh({ autopilot: QUICK })
  await mesh.found(3)
  const learner = await mesh.start('learner')
  await mesh.time.until(() => learner.coordinator.status().role === 'learner', 5_000)
  mesh.cut([learner], mesh.up())
  await mesh.time.until(() => !learner.coordinator.status().quorum, 6_000)
  assert.equal(learner.coordinator.status().leader, undefined)
})

test('who listens is told of each change of the status once, and one that fails harms nobody', async () => {
  const mesh = createJournalMesh()
  const nodes = await mesh.found(3)
  const leader = mesh.leader()
  const follower = nodes.find((node) => node !== leader)
  assert.ok(leader && follower)
  const told: string[] = []
  for (const { coordinator } of nodes)
    coordinator.onChange(() => {
      throw new Error('of a listener')
    })
  const { stop } = follower.coordinator.onChange(({ leader: who, acting, quorum }) =>
    told.push([who === undefined ? 'nobody' : who === follower.id ? 'me' : 'other', acting, quorum].join(' ')),
  )
  await mesh.time.run(500)
  const before = told.length
  for (let i = 0; i < 5; i += 1) await mesh.time.settled(leader.journal.put('a', i), 1_000)
  assert.equal(told.length, before, 'a decision is no change of the status')
  for (const node of nodes) if (node !== follower) mesh.kill(node)
  await mesh.time.run(5_000)
  assert.equal(told.at(-1), 'nobody false false')
  for (const node of nodes) if (node !== follower) await mesh.start(node.name)
  await mesh.time.until(() => follower.coordinator.status().leader !== undefined, 5_000)
  await mesh.time.run(500)
  assert.match(told.at(-1) ?? '', / true$/)
  assert.equal(new Set(told.map((one, i) => `${one}${told[i - 1] === one}`)).size > 1, true)
  stop()
  const last = told.length
  for (const node of mesh.up()) if (node !== follower) mesh.kill(node)
  await mesh.time.run(5_000)
  assert.equal(told.length, last)
  assert.ok(follower.logs.some(({ message }) => /listener/.test(message)))
})

test('it hands over, to whom it is told and from wherever it is asked', async () => {
  const mesh = createJournalMesh()
  const nodes = await mesh.found(3)
  const guest = await mesh.start('guest', { mayVote: false })
  await mesh.time.until(() => guest.coordinator.status().leader !== undefined, 1_000)
  for (const from of [guest, ...nodes]) {
    const before = await mesh.untilLeader()
    const to = nodes.find((node) => node !== before)
    assert.ok(to)
    const done = await mesh.time.settled(from.coordinator.transfer(to.id, NEVER), 2_000)
    assert.equal(done.leader, to.id)
    await mesh.time.until(() => mesh.leader() === to, 1_000)
    assert.equal(to.coordinator.acting(), done.epoch)
    await mesh.time.until(() => nodes.every(({ coordinator }) => coordinator.status().leader === to.id), 1_000)
    await mesh.time.until(() => guest.coordinator.status().leader === to.id, 1_500)
  }
  const last = await mesh.untilLeader()
  const done = await mesh.time.settled(guest.coordinator.transfer(undefined, NEVER), 2_000)
  assert.notEqual(done.leader, last.id)
})

test('it is handed to nobody that does not vote, and to nobody that is not there', async () => {
  const mesh = createJournalMesh()
  const nodes = await mesh.found(3)
  const guest = await mesh.start('guest', { mayVote: false })
  await mesh.time.until(() => guest.coordinator.status().leader !== undefined, 1_000)
  const leader = await mesh.untilLeader()
  const transfer = (to: string): Promise<unknown> =>
    mesh.time.settled(outcome(guest.coordinator.transfer(to, NEVER)), 5_000)
  assert.equal(await transfer(guest.id), 'STA003 no-voter')
  assert.deepEqual(await transfer(leader.id), { epoch: leader.coordinator.acting(), leader: leader.id })
  const away = nodes.find((node) => node !== leader)
  assert.ok(away)
  mesh.kill(away)
  assert.equal(await transfer(away.id), 'STA003 not-handed-over')
  assert.equal(mesh.leader(), leader)
  await mesh.time.settled(guest.journal.put('a', 1), 2_000)
  const alone = createJournalMesh()
  await alone.found(1)
  const [only] = alone.up()
  const told = alone.time.settled(outcome(only?.coordinator.transfer(undefined, NEVER) ?? Promise.reject()), 1_000)
  assert.equal(await told, 'STA003 alone')
})

test('newcomers learn, keep up and vote: one becomes three, and three five', async () => {
  const mesh = createJournalMesh({ autopilot: QUICK })
  await mesh.found(1)
  const [first] = mesh.up()
  assert.ok(first)
  for (let i = 0; i < 30; i += 1) await mesh.time.settled(first.journal.put(`k${i}`, i), 1_000)
  await mesh.start('n1')
  await mesh.time.run(3_000)
  assert.equal(votersOf(mesh).length, 1, 'two are worse than one')
  await mesh.start('n2')
  await mesh.time.until(() => votersOf(mesh).length === 3, 5_000)
  await mesh.start('n3')
  await mesh.time.run(4_000)
  assert.equal(votersOf(mesh).length, 3)
  await mesh.start('n4')
  await mesh.time.until(() => votersOf(mesh).length === 5, 6_000)
  const last = [await mesh.start('n5'), await mesh.start('n6')]
  await mesh.time.run(4_000)
  const status = mesh.leader()?.coordinator.status()
  assert.deepEqual([status?.voters.length, status?.learners.length], [5, 1])
  await mesh.time.until(() => mesh.up().filter((node) => node.value('k29') === 29).length === 6, 2_000)
  assert.deepEqual(last.map(({ coordinator }) => coordinator.status().role).sort(), ['learner', 'none'])
  const late = last.find(({ coordinator }) => coordinator.status().role === 'none')
  assert.ok(late)
  for (const node of [first, late]) {
    mesh.kill(node)
    await mesh.untilLeader(5_000)
  }
  await mesh.time.settled((await mesh.untilLeader()).journal.put('after', 1), 3_000)
})

test('a voter that is gone for long is replaced by who has kept up, and not before', async () => {
  const mesh = createJournalMesh({ autopilot: QUICK })
  await mesh.found(3)
  await mesh.start('spare')
  await mesh.time.until(() => mesh.leader()?.coordinator.status().learners.length === 1, 5_000)
  const gone = followers(mesh).find((node) => node.name !== 'spare')
  assert.ok(gone)
  mesh.kill(gone)
  await mesh.time.run(3_000)
  assert.ok(votersOf(mesh).includes(gone.member ?? ''))
  await mesh.time.until(() => !votersOf(mesh).includes(gone.member ?? ''), 8_000)
  assert.equal(votersOf(mesh).length, 3)
  // Back with its disk, it learns again, and is told that it does not vote.
  const back = await mesh.start(gone.name)
  await mesh.time.until(() => back.coordinator.status().role === 'learner', 8_000)
  assert.equal(votersOf(mesh).length, 3)
})

test('silence from before a coordinator began does not count against anybody', async () => {
  const mesh = createJournalMesh({ autopilot: QUICK })
  await mesh.found(3)
  await mesh.start('spare')
  await mesh.time.until(() => mesh.leader()?.coordinator.status().learners.length === 1, 5_000)
  await mesh.time.run(10_000)
  const [one, other] = followers(mesh).filter(({ name }) => name !== 'spare')
  assert.ok(one && other)
  // These two have not heard each other since they were elected or not; now one leads, and does not hear the other.
  mesh.cut([one], [other])
  const before = votersOf(mesh)
  const leader = mesh.leader()
  await mesh.time.settled(leader?.coordinator.transfer(one.id, NEVER) ?? Promise.reject(), 3_000)
  await mesh.time.until(() => mesh.leader() === one, 2_000)
  await mesh.time.run(2_000)
  assert.deepEqual(votersOf(mesh), before)
})

test('a seat that is given up is given to another one, and its node knows', async () => {
  const mesh = createJournalMesh({ autopilot: QUICK })
  await mesh.found(3)
  await mesh.start('spare')
  await mesh.time.until(() => mesh.leader()?.coordinator.status().learners.length === 1, 5_000)
  const leader = mesh.leader()
  assert.ok(leader)
  await mesh.time.settled(leader.journal.put('a', 1), 1_000)
  // The coordinator itself: it hands over first.
  await mesh.time.settled(leader.coordinator.withdraw(NEVER), 10_000)
  const next = await mesh.untilLeader(3_000)
  assert.notEqual(next, leader)
  assert.equal(votersOf(mesh).length, 3)
  assert.ok(!votersOf(mesh).includes(leader.member ?? ''))
  assert.equal(leader.coordinator.status().role, 'none')
  assert.equal(leader.coordinator.status().leader, next.id)
  // It uses the journal as any node without a seat.
  assert.equal((await mesh.time.settled(leader.journal.get('a'), 3_000))?.value, 1)
  await mesh.time.settled(leader.journal.put('a', 2), 3_000)
  const epoch = next.coordinator.acting()
  await mesh.time.run(5_000)
  assert.equal(mesh.leader()?.coordinator.acting(), epoch, 'who was put out disturbs nobody')
  assert.ok(!votersOf(mesh).includes(leader.member ?? ''), 'and is not taken back')
})

test('the only voter cannot give its seat up, and goes on as before', async () => {
  const mesh = createJournalMesh({ autopilot: QUICK })
  const [node] = await mesh.found(1)
  assert.ok(node)
  assert.equal(await mesh.time.settled(outcome(node.coordinator.withdraw(NEVER)), 2_000), 'STA003 alone')
  await mesh.start('n1')
  await mesh.start('n2')
  await mesh.time.until(() => votersOf(mesh).length === 3, 8_000)
  assert.ok(votersOf(mesh).includes(node.member ?? ''))
})

test('giving up a seat ends with its signal, and the seat is kept then', async () => {
  const mesh = createJournalMesh({ autopilot: QUICK })
  await mesh.found(3)
  const leader = mesh.leader()
  const [one, other] = followers(mesh)
  assert.ok(leader && one && other)
  mesh.kill(other)
  await mesh.time.run(600)
  const stop = new AbortController()
  const giving = one.coordinator.withdraw(stop.signal)
  await mesh.time.run(1_500)
  assert.equal(one.coordinator.status().role, 'voter', 'two cannot do without it')
  stop.abort(new Error('no time'))
  await assert.rejects(mesh.time.settled(giving, 1_000), /no time/)
  await mesh.start(other.name)
  await mesh.time.run(8_000)
  assert.ok(votersOf(mesh).includes(one.member ?? ''))
})

test('a seat that was given up stays so across a restart, and is offered again once that is taken back', async () => {
  const mesh = createJournalMesh({ autopilot: QUICK })
  await mesh.found(4)
  const [node] = followers(mesh)
  assert.ok(node)
  await mesh.time.until(() => votersOf(mesh).length === 3, 5_000)
  const left = await mesh.time.settled(node.coordinator.withdraw(NEVER), 10_000)
  assert.ok(left !== undefined && left >= 2, `${left} vote`)
  assert.deepEqual([node.coordinator.status().role, node.coordinator.status().withdrawn], ['none', true])
  mesh.kill(node, true)
  const back = await mesh.start(node.name)
  await mesh.time.run(6_000)
  assert.equal(votersOf(mesh).length, 3)
  assert.deepEqual([back.coordinator.status().role, back.coordinator.status().withdrawn], ['none', true])
  assert.ok(back.seat() !== undefined, 'it has its log')
  await mesh.time.settled(back.journal.put('a', 1), 3_000)

  await mesh.time.settled(back.coordinator.volunteer(), 1_000)
  assert.equal(back.coordinator.status().withdrawn, false)
  await mesh.time.until(() => back.coordinator.status().role !== 'none', 5_000)
  mesh.kill(back, true)
  const again = await mesh.start(node.name)
  await mesh.time.run(2_000)
  assert.equal(again.coordinator.status().withdrawn, false)
})

test('who dies while it gives its seat up goes on with it when it starts', async () => {
  const mesh = createJournalMesh({ autopilot: QUICK })
  await mesh.found(3)
  const [one, other] = followers(mesh)
  assert.ok(one && other)
  mesh.kill(other)
  await mesh.time.run(600)
  const giving = one.coordinator.withdraw(NEVER)
  giving.catch(() => {})
  await mesh.time.run(1_000)
  assert.equal(one.coordinator.status().role, 'voter', 'two cannot do without it')
  mesh.kill(one, true)
  await mesh.start(other.name)
  const back = await mesh.start(one.name)
  assert.equal(back.coordinator.status().withdrawn, true)
  await mesh.time.until(
    () => back.coordinator.status().role === 'none' && !votersOf(mesh).includes(one.member ?? ''),
    15_000,
  )
})

test('what could not be given up in time is not given up after a restart either', async () => {
  const mesh = createJournalMesh({ autopilot: QUICK })
  await mesh.found(3)
  const [one, other] = followers(mesh)
  assert.ok(one && other)
  mesh.kill(other)
  await mesh.time.run(600)
  const stop = new AbortController()
  const giving = outcome(one.coordinator.withdraw(stop.signal).catch(() => 'no time'))
  await mesh.time.run(500)
  stop.abort(new Error('no time'))
  assert.equal(await mesh.time.settled(giving, 1_000), 'no time')
  assert.equal(one.coordinator.status().withdrawn, false)
  mesh.kill(one, true)
  await mesh.start(other.name)
  const back = await mesh.start(one.name)
  assert.equal(back.coordinator.status().withdrawn, false)
  await mesh.time.run(6_000)
  assert.equal(back.coordinator.status().role, 'voter')
})

test('without room on its disk a node keeps its seat', async () => {
  const mesh = createJournalMesh({ autopilot: QUICK })
  await mesh.found(3)
  const [node] = followers(mesh)
  assert.ok(node?.disk)
  node.disk.room = 0
  assert.equal(await mesh.time.settled(outcome(node.coordinator.withdraw(NEVER)), 2_000), 'STA003 disk-full')
  assert.equal(node.coordinator.status().withdrawn, false)
})

test('a node is told by another one to give its seat up, and to offer it again; the only voter refuses', async () => {
  const mesh = createJournalMesh({ autopilot: QUICK })
  const [first] = await mesh.found(1)
  const guest = await mesh.start('guest', { mayVote: false })
  assert.ok(first)
  const at = (id: string) => guest.port.to(id, coordinatorProtocol)
  assert.equal(await mesh.time.settled(outcome(at(first.id).giveUp({})), 3_000), 'STA003 alone')
  assert.equal(first.coordinator.status().withdrawn, false)
  await mesh.start('n1')
  await mesh.start('n2')
  await mesh.time.until(() => votersOf(mesh).length === 3, 8_000)
  // Two voters are no better than one, so that the other one goes too.
  assert.deepEqual(await mesh.time.settled(at(first.id).giveUp({}), 15_000), { voters: 1 })
  assert.equal(first.coordinator.status().role, 'none')
  assert.deepEqual(await mesh.time.settled(at(first.id).takeSeat({}), 2_000), {})
  await mesh.time.until(() => first.coordinator.status().role !== 'none', 5_000)
  // Who has no seat has none to give up.
  assert.deepEqual(await mesh.time.settled(at(guest.id).giveUp({}), 2_000), {})
})

test('a seat that is taken back while it is given up ends that', async () => {
  const mesh = createJournalMesh({ autopilot: QUICK })
  await mesh.found(3)
  const [one, other] = followers(mesh)
  assert.ok(one && other)
  mesh.kill(other)
  await mesh.time.run(600)
  const giving = outcome(one.coordinator.withdraw(NEVER))
  await mesh.time.run(500)
  await mesh.time.settled(one.coordinator.volunteer(), 1_000)
  assert.equal(await mesh.time.settled(giving, 1_000), 'STA003 taken-back')
  assert.equal(one.coordinator.status().role, 'voter')
})

test('a node that lost its disk comes back as a learner, and votes in the place of the one that it was', async () => {
  const mesh = createJournalMesh({ autopilot: { stableMs: 300, dropLearnerAfterMs: 3_000 } })
  await mesh.found(3)
  const lost = followers(mesh)[0]
  const old = lost?.member
  assert.ok(lost && old)
  await mesh.time.settled((await mesh.untilLeader()).journal.put('a', 1), 1_000)
  mesh.kill(lost, true)
  mesh.loseDisk(lost.name)
  const back = await mesh.start(lost.name)
  assert.notEqual(back.member, old)
  assert.equal(back.coordinator.status().role, 'none')
  const seen = new Set<string>()
  await mesh.time.until(() => {
    seen.add(back.coordinator.status().role)
    return back.coordinator.status().role === 'voter' && !votersOf(mesh).includes(old)
  }, 10_000)
  assert.deepEqual([...seen], ['none', 'learner', 'voter'])
  assert.equal(votersOf(mesh).length, 3)
  assert.equal(back.value('a'), 1)
  // It came to rest: no more changes of the seats.
  const leader = await mesh.untilLeader()
  const at = leader.seat()?.group.status().configurationIndex
  await mesh.time.run(5_000)
  assert.equal(leader.seat()?.group.status().configurationIndex, at)
})

test('a learner that is never heard is given up once, not again and again', async () => {
  const mesh = createJournalMesh({ autopilot: QUICK })
  await mesh.found(3)
  await mesh.time.run(5_000)
  const leader = mesh.leader()
  assert.ok(leader)
  const spare = await mesh.start('spare')
  // Its offer arrives, and then it is gone.
  await mesh.time.until(() => leader.coordinator.status().learners.length === 1, 5_000)
  mesh.kill(spare)
  const before = leader.seat()?.group.status().configurationIndex ?? 0
  const configurations = new Set<number>()
  await mesh.time
    .until(() => {
      configurations.add(leader.seat()?.group.status().configurationIndex ?? 0)
      return false
    }, 12_000)
    .catch(() => {})
  configurations.delete(before)
  // Once more for the offer that is remembered, and given up each time.
  assert.ok(configurations.size <= 8, `${configurations.size} changes`)
})

test('the level rises once every voter has it, and not before', async () => {
  const mesh = createJournalMesh({ autopilot: QUICK })
  for (const [i, level] of [3, 2, 1].entries()) await mesh.start(`m${i}`, { expect: 3, level })
  const leader = await mesh.untilLeader()
  await mesh.time.run(4_000)
  assert.equal(leader.value(FEATURE_LEVEL_KEY), undefined)
  const old = mesh.up().find(({ name }) => name === 'm2')
  assert.ok(old)
  mesh.kill(old)
  await mesh.start('m2', { level: 4 })
  await mesh.time.until(() => mesh.leader()?.value(FEATURE_LEVEL_KEY) === 2, 12_000)
})

test('an offer is for the seat of the node that makes it, and for the one that coordinates', async () => {
  const mesh = createJournalMesh({ autopilot: QUICK })
  await mesh.found(3)
  const leader = mesh.leader()
  const guest = await mesh.start('guest', { mayVote: false })
  assert.ok(leader)
  await mesh.time.until(() => guest.coordinator.status().leader !== undefined, 1_000)
  const meshId = leader.meshId() ?? ''
  const offer = (body: { meshId: string; member: string }, to = leader): Promise<unknown> =>
    mesh.time.settled(outcome(guest.port.to(to.id, coordinatorProtocol).volunteer({ level: 1, ...body })), 1_000)
  assert.equal(await offer({ meshId, member: `${leader.id}.aa` }), 'SEC002')
  assert.equal(await offer({ meshId: 'other', member: `${guest.id}.aa` }), 'STA003 other-mesh')
  const [follower] = followers(mesh)
  assert.equal(await offer({ meshId, member: `${guest.id}.aa` }, follower), 'STA003 not-leader')
  assert.deepEqual(await offer({ meshId, member: `${guest.id}.aa` }), { enough: false, voters: 3 })
})

test('nobody speaks for another node', async () => {
  const mesh = createJournalMesh()
  await mesh.found(3)
  const [guest, liar] = [await mesh.start('guest', { mayVote: false }), await mesh.start('liar', { mayVote: false })]
  await mesh.time.until(() => guest.coordinator.status().leader !== undefined, 1_000)
  const leader = mesh.leader()
  assert.ok(leader)
  const told = {
    mesh_id: leader.meshId() ?? '',
    epoch: 99,
    leader: followers(mesh)[0]?.id ?? '',
    version: 1,
    seats: [],
  }
  await mesh.time.settled(liar.events.publish(epochEvent, { ...told, timestamp: 1 }), 1_000)
  await mesh.time.run(1_500)
  assert.deepEqual(
    mesh.up().map(({ coordinator }) => [coordinator.status().epoch, coordinator.status().leader]),
    mesh.up().map(() => [2, leader.id]),
  )
})
