import assert from 'node:assert/strict'
import test from 'node:test'
import { recoverJournal } from '../../../../node/store/journal/journal-recovery.ts'
import { coordinatorProtocol, epochEvent } from '../../../../protocols/coordinator/contract.ts'
import { createFenceGuard } from '../../../../protocols/journal/fencing/fence-guard.ts'
import { createJournalMesh, type JournalMesh, type JournalNode } from '../../../support/journal-mesh.ts'

const FORGED = 1_000_000

/** A mesh of three voters, a guest without a seat, and one that lies: connected to all, with what any member may do. */
const attacked = async (options: { seed?: number } = {}) => {
  const mesh = createJournalMesh(options)
  const voters = await mesh.found(3)
  const guest = await mesh.start('guest', { mayVote: false })
  const liar = await mesh.start('liar', { mayVote: false })
  await mesh.time.until(() => mesh.up().every(({ coordinator }) => coordinator.status().leader !== undefined), 3_000)
  return { mesh, voters, guest, liar }
}

const forge = (mesh: JournalMesh, liar: JournalNode, epoch = FORGED): Promise<unknown> =>
  mesh.time.settled(
    liar.events.publish(epochEvent, {
      mesh_id: mesh.leader()?.meshId() ?? '',
      epoch,
      leader: liar.id,
      version: 10 ** 9,
      seats: [liar.id],
      timestamp: 1,
    }),
    1_000,
  )

const leaders = (nodes: readonly JournalNode[]) =>
  nodes.map(({ coordinator }) => [coordinator.status().epoch, coordinator.status().leader])

test('an epoch that nobody proves is followed by nobody, and counted', async () => {
  const { mesh, voters, guest, liar } = await attacked()
  const leader = mesh.leader()
  assert.ok(leader)
  for (let i = 0; i < 5; i += 1) {
    await forge(mesh, liar, FORGED + i)
    await mesh.time.run(1_000)
    for (const [epoch, peer] of leaders([...voters, guest])) assert.deepEqual([epoch, peer], [2, leader.id])
  }
  await mesh.time.settled(guest.journal.put('a', 1), 2_000)
  await mesh.time.run(1_000)
  assert.equal((await mesh.time.settled(guest.journal.get('a', { consistency: 'local' }), 2_000))?.value, 1)
  assert.ok((guest.proofs?.facts().refused.unproven ?? 0) > 0)
  assert.equal(guest.network.metric('coordination_refused_total', { reason: 'unproven', mode: 'enforce' }) > 0, true)
  assert.deepEqual(guest.whereabouts.latest().seats.includes(liar.id), false)
})

test('another leader is heard of once its own epoch is proven, and forged ones before and after change nothing', async () => {
  const { mesh, guest, liar } = await attacked({ seed: 2 })
  await forge(mesh, liar)
  const first = mesh.leader()
  assert.ok(first)
  mesh.kill(first)
  const second = await mesh.untilLeader(5_000, first)
  await forge(mesh, liar, FORGED + 1)
  await mesh.time.until(() => guest.coordinator.status().leader === second.id, 3_000)
  assert.equal(guest.proofs?.epoch()?.epoch, second.coordinator.acting())
  await mesh.time.settled(guest.journal.put('b', 2), 3_000)
})

test('what a liar answers about who coordinates is hearsay that has to be proven, also to a newcomer', async () => {
  const { mesh, liar } = await attacked({ seed: 3 })
  const meshId = mesh.leader()?.meshId() ?? ''
  // It says so to whoever asks, in place of its own honest answer.
  liar.coordinator.status = () => assert.fail('not asked')
  const answers = { meshId, epoch: FORGED, leader: liar.id, version: 1, seats: [liar.id] }
  const guest = await mesh.start('late', { mayVote: false, isApart: true })
  mesh.adopt(guest, meshId)
  guest.whereabouts.onReport(answers, liar.id)
  assert.equal(guest.coordinator.status().leader, undefined)
  for (const other of mesh.up()) if (other !== guest) mesh.network.connect(guest.network, other.network)
  await mesh.time.until(() => guest.coordinator.status().leader !== undefined, 3_000)
  assert.equal(guest.coordinator.status().leader, mesh.leader()?.id)
  guest.whereabouts.onReport(answers, liar.id)
  assert.equal(guest.coordinator.status().leader, mesh.leader()?.id)
  assert.equal(coordinatorProtocol.name, 'coordinator')
})

test('a fence of an epoch that nobody began is not kept, and shuts nobody out', async () => {
  const { mesh, guest } = await attacked({ seed: 4 })
  const { proofs } = guest
  assert.ok(proofs)
  const fences = await createFenceGuard(undefined, { isProven: proofs.hasBegun })
  const forged = fences.accept('task', { term: FORGED, index: 1 }).then(
    () => 'taken',
    (error: { code: string; details: { reason: string } }) => `${error.code} ${error.details.reason}`,
  )
  assert.equal(await mesh.time.settled(forged, 5_000), 'STA002 unproven')
  const { fence } = await mesh.time.settled(guest.journal.put('a', 1), 2_000)
  await fences.accept('task', fence)
  assert.deepEqual(fences.highest('task'), fence)
})

test('all are restarted after the attack: the same journal, one coordinator, and what was proven is remembered', async () => {
  const { mesh, voters, guest, liar } = await attacked({ seed: 5 })
  await mesh.time.settled(guest.journal.put('kept', 1), 2_000)
  await forge(mesh, liar)
  for (const { name } of voters) {
    const node = mesh.up().find((one) => one.name === name)
    if (node !== undefined) mesh.kill(node)
  }
  for (const { name } of voters) await mesh.start(name)
  const again = mesh.up().find(({ name }) => name === 'm0')
  await mesh.time.until(() => (again?.proofs?.epoch()?.epoch ?? 0) >= 2, 3_000)
  const leader = await mesh.untilLeader(8_000)
  await mesh.time.until(() => guest.coordinator.status().leader === leader.id, 5_000)
  assert.equal((await mesh.time.settled(guest.journal.get('kept'), 5_000))?.value, 1)
})

test('a leader that dies before its signatures are there leaves nothing behind that the next one cannot prove', async () => {
  for (let seed = 10; seed < 16; seed += 1) {
    const { mesh, guest } = await attacked({ seed })
    const first = mesh.leader()
    assert.ok(first)
    mesh.kill(first)
    const second = await mesh.untilLeader(5_000, first)
    // At the moment in which its beginning was committed.
    mesh.kill(second)
    await mesh.start(first.name)
    const third = await mesh.untilLeader(8_000, second)
    await mesh.time.until(() => guest.proofs?.epoch()?.leader === third.id, 5_000)
    assert.equal(guest.coordinator.status().leader, third.id)
  }
})

test('voters come and go: each change is linked, and a voter that was away through several is believed and believes', async () => {
  const mesh = createJournalMesh({ seed: 6, autopilot: { stableMs: 500, replaceAfterMs: 3_000 } })
  const [away] = (await mesh.found(3)).filter((node) => node !== mesh.leader())
  assert.ok(away)
  const guest = await mesh.start('guest', { mayVote: false })
  await mesh.time.until(() => guest.proofs?.epoch()?.epoch === 2, 3_000)
  mesh.kill(away)
  for (const name of ['n3', 'n4', 'n5']) await mesh.start(name)
  const voters = () => mesh.leader()?.coordinator.status().voters ?? []
  await mesh.time.until(() => voters().length === 5 && !voters().includes(away.member ?? ''), 60_000)
  await mesh.time.until(() => (guest.proofs?.facts().voters.length ?? 0) === 5, 5_000)
  assert.ok((guest.proofs?.facts().links ?? 0) >= 3)
  const back = await mesh.start(away.name)
  await mesh.time.until(() => (back.proofs?.facts().voters.length ?? 0) === 5, 5_000)
  await mesh.time.until(() => back.coordinator.status().leader === mesh.leader()?.id, 5_000)
  const late = await mesh.start('late', { mayVote: false })
  await mesh.time.until(() => (late.proofs?.facts().voters.length ?? 0) === 5, 5_000)
  assert.deepEqual(late.proofs?.facts().refused, {})
})

test('voters of an older version are taken at their word, until all of them know proofs', async () => {
  const mesh = createJournalMesh({ seed: 7 })
  for (let i = 0; i < 3; i += 1) await mesh.start(`m${i}`, { expect: 3, level: 1 })
  await mesh.untilLeader(10_000)
  const guest = await mesh.start('guest', { mayVote: false })
  await mesh.time.until(() => guest.coordinator.status().leader !== undefined, 5_000)
  assert.equal(guest.proofs?.facts().mode, 'observe')
  for (let i = 0; i < 3; i += 1) {
    const node = mesh.up().find(({ name }) => name === `m${i}`)
    if (node !== undefined) mesh.kill(node)
    await mesh.start(`m${i}`)
    await mesh.time.run(4_000)
    const leader = await mesh.untilLeader(10_000)
    await mesh.time.until(() => guest.coordinator.status().leader === leader.id, 8_000)
    await mesh.time.settled(guest.journal.put('a', i), 8_000)
  }
  await mesh.time.until(() => guest.proofs?.facts().mode === 'enforce', 10_000)
  assert.equal(guest.proofs?.epoch()?.leader, mesh.leader()?.id)
})

test('a voter of the founding that died before anything was proven keeps nobody from proving it later', async () => {
  const mesh = createJournalMesh({ seed: 6, autopilot: { stableMs: 500, replaceAfterMs: 3_000 } })
  const [lost] = (await mesh.found(3)).filter((node) => node !== mesh.leader())
  assert.ok(lost)
  mesh.kill(lost)
  const guest = await mesh.start('guest', { mayVote: false })
  await mesh.time.until(() => guest.coordinator.status().leader === mesh.leader()?.id, 5_000)
  for (const name of ['n3', 'n4', 'n5']) await mesh.start(name)
  await mesh.time.until(() => guest.proofs?.epoch()?.leader === mesh.leader()?.id, 60_000)
  assert.equal(guest.proofs?.facts().voters.length, 5)
})

test('a recovered mesh is proven from what its id was made of, though its terms jump', async () => {
  const { mesh, voters } = await attacked({ seed: 20 })
  const [kept, ...lost] = voters
  assert.ok(kept?.disk)
  await mesh.time.settled(kept.journal.put('kept', 1), 2_000)
  await mesh.time.run(500)
  for (const node of [...mesh.up()]) mesh.kill(node)
  for (const { name } of lost) mesh.loseDisk(name)
  const disk = kept.disk.mount()
  const random = (count: number): Uint8Array => new Uint8Array(count).fill(7)
  const { meshId } = await mesh.time.settled(recoverJournal(disk, random, kept.id), 1_000)
  kept.disk.release()
  const only = await mesh.start(kept.name)
  await mesh.untilLeader(8_000)
  assert.equal(only.meshId(), meshId)
  const guest = await mesh.start('other', { mayVote: false })
  const learner = await mesh.start('learner')
  await mesh.time.until(() => guest.proofs?.epoch()?.leader === only.id, 5_000)
  assert.ok((guest.proofs?.epoch()?.epoch ?? 0) > 1_000_000)
  assert.equal(guest.proofs?.facts().base, 'recovered')
  await mesh.time.until(() => learner.value('kept') === 1, 20_000)
  assert.equal((await mesh.time.settled(guest.journal.get('kept'), 3_000))?.value, 1)
})
