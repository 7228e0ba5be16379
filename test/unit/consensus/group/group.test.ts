/** Members of a group over Ports and stores: elections, commands, disks that fail, snapshots, changes of members. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isParleyError } from '../../../../protocols/errors.ts'
import { createGroupMesh, type GroupMember } from '../../../support/group-mesh.ts'
import { word } from '../../../support/words.ts'

const reasonOf = (error: unknown): unknown => (isParleyError(error) ? error.details.reason : `${error}`)
const outcome = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'done',
    (error: unknown) => reasonOf(error),
  )

test('three members elect one leader; what it takes is applied by all, in one order', async () => {
  const { found, untilLeader, time, agree, members } = createGroupMesh()
  await found(3)
  const leader = await untilLeader()
  const answers = await time.settled(
    Promise.all(Array.from({ length: 50 }, (_, i) => leader.group.propose(word(`w${i}`)))),
    500,
  )
  assert.deepEqual(
    answers,
    Array.from({ length: 50 }, (_, i) => i + 1),
  )
  await time.until(() => agree(50), 500)
  assert.equal([...members.values()].filter(({ group }) => group.status().role === 'leader').length, 1)
  assert.ok(leader.group.counts().steps < 200, 'commands that come together are written together')
})

test('one that founds alone leads, and answers', async () => {
  const { found, untilLeader, time } = createGroupMesh()
  const [alone] = await found(1)
  await untilLeader()
  assert.equal(await time.settled(alone?.group.propose(word('a')) ?? Promise.reject(), 200), 1)
  assert.ok((await time.settled(alone?.group.readable() ?? Promise.reject(), 200)) >= 2)
})

test('who does not lead says who does', async () => {
  const { found, untilLeader, time } = createGroupMesh()
  const members = await found(3)
  const leader = await untilLeader()
  await time.run(300)
  const other = members.find((member) => member !== leader)
  const error = await time.settled(
    (other?.group.propose(word('x')) ?? Promise.resolve()).catch((reason: unknown) => reason),
    100,
  )
  assert.ok(isParleyError(error, 'STA003'))
  assert.deepEqual([error.details.reason, error.details.leader], ['not-leader', leader.id])
})

test('a leader that dies is followed by another one, and nothing that was answered is lost', async () => {
  const mesh = createGroupMesh({ seed: 3 })
  await mesh.found(5)
  let answered = 0
  for (let round = 0; round < 6; round += 1) {
    const leader = await mesh.untilLeader()
    for (let i = 0; i < 10; i += 1) {
      const result = await mesh.time.settled(outcome(leader.group.propose(word(`r${round}-${i}`))), 2_000)
      if (result === 'done') answered += 1
    }
    mesh.kill(leader, true)
    await mesh.untilLeader()
    await mesh.start(leader.name)
    await mesh.time.until(() => [...mesh.members.values()].every(({ words }) => words.length >= answered), 10_000)
  }
  assert.equal(answered, 60)
  await mesh.time.until(() => mesh.agree(answered), 5_000)
})

test('all lose power at once, again and again, in the middle of writing: what was answered is there', async () => {
  for (const seed of [1, 2, 3, 4, 5, 6]) {
    const mesh = createGroupMesh({ seed, snapshotEvery: 15 })
    await mesh.found(3)
    const answered: string[] = []
    for (let life = 0; life < 5; life += 1) {
      const leader = await mesh.untilLeader(10_000)
      for (let i = 0; i < 20; i += 1) {
        const text = `${life}-${i}`
        leader.group.propose(word(text)).then(
          () => answered.push(text),
          () => {},
        )
        await mesh.time.run(mesh.random() * 12)
      }
      for (const member of [...mesh.members.values()]) mesh.kill(member, true)
      for (const { name } of [...mesh.members.values()]) await mesh.start(name)
    }
    const leader = await mesh.untilLeader(10_000)
    await mesh.time.settled(leader.group.propose(word('end')), 5_000)
    const { words } = leader
    for (const text of answered) assert.equal(words.filter((one) => one === text).length, 1, `seed ${seed}: ${text}`)
    await mesh.time.until(() => mesh.agree(words.length), 5_000)
    assert.ok(answered.length > 50, `${answered.length} were answered`)
  }
})

test('one that was away for long is given a snapshot, and restarts from it', async () => {
  const mesh = createGroupMesh({ snapshotEvery: 20 })
  await mesh.found(3)
  const leader = await mesh.untilLeader()
  const away = [...mesh.members.values()].find((member) => member !== leader)
  assert.ok(away)
  mesh.kill(away)
  for (let i = 0; i < 100; i += 1) await mesh.time.settled(leader.group.propose(word(`w${i}`)), 500)
  await mesh.time.run(200)
  assert.ok(leader.group.counts().snapshots >= 4, `${leader.group.counts().snapshots} snapshots`)
  assert.equal((await leader.disk.list()).filter((name) => name.endsWith('.snapshot')).length, 1)
  const back = await mesh.start(away.name)
  await mesh.time.until(() => back.words.length === 100, 3_000)
  assert.equal(back.group.counts().restored, 1)
  mesh.kill(back, true)
  const again = await mesh.start(away.name)
  assert.ok(again.words.length >= 80, 'what it was given is on its disk')
  await mesh.time.until(() => mesh.agree(100), 3_000)
})

test('a leader without room on its disk stands still, another one takes over, and it comes back with room', async () => {
  const mesh = createGroupMesh()
  await mesh.found(3)
  const leader = await mesh.untilLeader()
  await mesh.time.settled(leader.group.propose(word('a')), 500)
  leader.disk.room = 0
  const stuck = outcome(leader.group.propose(word('stuck')))
  await mesh.time.until(() => mesh.leader() !== leader && mesh.leader() !== undefined, 5_000)
  const next = mesh.leader()
  // The others wrote what the leader sent while it tried to write it itself.
  assert.equal(await mesh.time.settled(next?.group.propose(word('b')) ?? Promise.reject(), 1_000), 3)
  assert.ok(leader.logs.some(({ level, message }) => level === 'error' && /no room/.test(message)))
  leader.disk.room = Number.POSITIVE_INFINITY
  await mesh.time.until(() => mesh.agree(3), 5_000)
  assert.equal(await mesh.time.settled(stuck, 5_000), 'done')
  assert.deepEqual(leader.words, ['a', 'stuck', 'b'])
  assert.equal(leader.failures.length, 0)
})

test('the only voter tells learners of nothing that its disk does not have', async () => {
  const mesh = createGroupMesh()
  const [alone] = await mesh.found(1)
  assert.ok(alone)
  await mesh.untilLeader()
  await mesh.time.settled(alone.group.propose(word('a')), 500)
  const learner = await mesh.start('learner')
  await mesh.time.settled(alone.group.change({ voters: [alone.id], learners: [learner.id] }), 1_000)
  await mesh.time.until(() => learner.words.length === 1, 3_000)
  await mesh.time.settled(alone.group.propose(word('b')), 500)
  await mesh.time.until(() => learner.words.length === 2, 3_000)
  alone.disk.room = 0
  const stuck = outcome(alone.group.propose(word('stuck')))
  await mesh.time.run(1_000)
  assert.deepEqual(learner.words, ['a', 'b'])
  alone.disk.room = Number.POSITIVE_INFINITY
  assert.equal(await mesh.time.settled(stuck, 5_000), 'done')
  await mesh.time.until(() => mesh.agree(3), 3_000)
})

test('a disk that does not say what it has ends the member, which comes back from what is there', async () => {
  const mesh = createGroupMesh()
  await mesh.found(3)
  const leader = await mesh.untilLeader()
  await mesh.time.settled(leader.group.propose(word('a')), 500)
  leader.disk.failSync = true
  assert.equal(await mesh.time.settled(outcome(leader.group.propose(word('b'))), 500), 'unknown')
  assert.deepEqual(leader.failures.map(reasonOf), ['broken'])
  assert.equal(await mesh.time.settled(outcome(leader.group.propose(word('c'))), 500), 'unknown')
  mesh.kill(leader, true)
  const next = await mesh.untilLeader()
  await mesh.start(leader.name)
  await mesh.time.settled(next.group.propose(word('d')), 1_000)
  await mesh.time.until(() => mesh.agree(next.words.length), 3_000)
  assert.equal(next.words[0], 'a')
  assert.equal(next.words.at(-1), 'd')
})

test('a side without a majority decides nothing, and takes what the other decided once it is healed', async () => {
  const mesh = createGroupMesh({ seed: 7 })
  const members = await mesh.found(5)
  const leader = await mesh.untilLeader()
  const other = members.find((member) => member !== leader)
  assert.ok(other)
  const minority = [leader, other]
  const majority = members.filter((member) => !minority.includes(member))
  mesh.cut(minority, majority)
  const lost = outcome(leader.group.propose(word('minority')))
  const unread = outcome(leader.group.readable(AbortSignal.timeout(60_000)))
  await mesh.time.until(() => majority.some(({ group }) => group.status().role === 'leader'), 5_000)
  const next = majority.find(({ group }) => group.status().role === 'leader')
  assert.equal(await mesh.time.settled(next?.group.propose(word('majority')) ?? Promise.reject(), 1_000), 1)
  await mesh.time.run(3_000)
  assert.notEqual(leader.group.status().role, 'leader')
  assert.deepEqual(leader.words, [])
  const term = next?.group.status().term
  mesh.heal()
  await mesh.time.until(() => mesh.agree(1), 3_000)
  assert.deepEqual(leader.words, ['majority'])
  assert.equal(await mesh.time.settled(lost, 100), 'superseded')
  assert.equal(await mesh.time.settled(unread, 3_000), 'done')
  assert.equal(mesh.leader()?.group.status().term, term, 'who was cut off does not push terms up')
})

test('reads anywhere see all that was answered before', async () => {
  const mesh = createGroupMesh({ seed: 5 })
  const members = await mesh.found(3)
  const leader = await mesh.untilLeader()
  await mesh.time.run(300)
  for (let i = 1; i <= 20; i += 1) {
    await mesh.time.settled(leader.group.propose(word(`w${i}`)), 500)
    const reader = members[i % 3]
    assert.ok(reader)
    await mesh.time.settled(reader.group.readable(), 1_000)
    assert.ok(reader.words.length >= i, `${reader.name} has ${reader.words.length} of ${i}`)
  }
})

test('a read that is not waited for any more ends with its reason', async () => {
  const mesh = createGroupMesh()
  const [a, b, c] = (await mesh.found(3)) as [GroupMember, GroupMember, GroupMember]
  mesh.kill(b)
  mesh.kill(c)
  const stop = new AbortController()
  const reading = a.group.readable(stop.signal)
  await mesh.time.run(2_000)
  stop.abort(new Error('no time'))
  await assert.rejects(mesh.time.settled(reading, 10), /no time/)
})

test('a learner is added, catches up, votes; the one in whose place it came may go', async () => {
  const mesh = createGroupMesh({ snapshotEvery: 10 })
  const members = await mesh.found(3)
  const leader = await mesh.untilLeader()
  for (let i = 0; i < 30; i += 1) await mesh.time.settled(leader.group.propose(word(`w${i}`)), 500)
  const fresh = await mesh.start('fresh')
  const voters = members.map(({ id }) => id)
  await mesh.time.settled(leader.group.change({ voters, learners: [fresh.id] }), 1_000)
  await mesh.time.until(() => fresh.words.length === 30, 3_000)
  await mesh.time.settled(leader.group.change({ voters: [...voters, fresh.id], learners: [] }), 1_000)
  // Two at once are refused.
  assert.equal(
    await mesh.time.settled(outcome(leader.group.change({ voters: [fresh.id], learners: [] })), 500),
    'not-leader',
  )
  const gone = members.find((member) => member !== leader)
  assert.ok(gone)
  const rest = [...voters.filter((id) => id !== gone.id), fresh.id]
  await mesh.time.settled(leader.group.change({ voters: rest, learners: [] }), 1_000)
  mesh.kill(gone)
  mesh.kill(leader, true)
  const next = await mesh.untilLeader()
  assert.equal(await mesh.time.settled(next.group.propose(word('after')), 1_000), 31)
  assert.deepEqual([...next.group.status().configuration.voters].sort(), [...rest].sort())
})

test('a leader hands over without a gap', async () => {
  const mesh = createGroupMesh()
  await mesh.found(3)
  const leader = await mesh.untilLeader()
  await mesh.time.settled(leader.group.propose(word('a')), 500)
  leader.group.transfer()
  const ms = await mesh.time.until(() => mesh.leader() !== undefined && mesh.leader() !== leader, 400)
  assert.ok(ms < 200, `${ms} ms: before an election would begin`)
})

test('what is stopped says so, and everything that waits ends', async () => {
  const mesh = createGroupMesh()
  const [a, b, c] = (await mesh.found(3)) as [GroupMember, GroupMember, GroupMember]
  const leader = await mesh.untilLeader()
  for (const member of [a, b, c]) if (member !== leader) mesh.kill(member)
  const pending = [outcome(leader.group.propose(word('x'))), outcome(leader.group.readable())]
  await mesh.time.run(50)
  await mesh.time.settled(leader.group.stop(), 100)
  assert.deepEqual(await mesh.time.settled(Promise.all(pending), 10), ['unknown', 'unknown'])
  assert.equal(await mesh.time.settled(outcome(leader.group.propose(word('y'))), 10), 'unknown')
})

test('proposals that wait are bounded', async () => {
  const mesh = createGroupMesh()
  await mesh.found(3)
  const leader = await mesh.untilLeader()
  const all = Array.from({ length: 5_000 }, (_, i) =>
    leader.group.propose(word(`${i}`)).then(
      () => true,
      (error: unknown) => (isParleyError(error, 'COM003') ? false : Promise.reject(error)),
    ),
  )
  const done = await mesh.time.settled(Promise.all(all), 5_000)
  assert.equal(done.filter((taken) => !taken).length, 5_000 - 4_096)
})
