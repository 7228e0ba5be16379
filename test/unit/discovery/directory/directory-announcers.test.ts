/** On whose word the addresses of an agent are known: what a budget of dials is counted by. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { directoryProtocol } from '../../../../discovery/directory/protocol.ts'
import { signRecord } from '../../../../discovery/directory/record/agent-record.ts'
import { createDirectoryMesh, recordOf } from '../../../support/directory-mesh.ts'
import {
  digestOf,
  give,
  recordOf as plainRecord,
  sign,
  start as startTables,
} from '../../../support/directory-tables.ts'

const NO_DIGEST = digestOf([])

test('who says that it is connected to an agent vouches for it, and what a neighbour passed on is counted apart', async () => {
  const { start, connect, time } = createDirectoryMesh()
  const [a, hub, b, far] = [await start('a'), await start('hub'), await start('b'), await start('far')]
  connect(b, far)
  connect(hub, b)
  await time.run(3_000)
  connect(a, hub)
  await time.run(3_000)
  assert.deepEqual(a.directory.announcers(hub.id), [hub.id], 'it was met: its record is its own word')
  assert.deepEqual(a.directory.announcers(b.id), [hub.id, `passed on by ${hub.id}`])
  assert.deepEqual(a.directory.announcers(far.id), [`passed on by ${hub.id}`])
  assert.deepEqual(a.directory.announcers('nobody'), [])
  connect(a, b)
  await time.run(3_000)
  assert.deepEqual(a.directory.announcers(b.id), [b.id])
})

test('agents that a member invents are on its word, also at those who hear of them through others', async () => {
  const { start, startBare, connect, time } = createDirectoryMesh()
  const [a, hub, liar, ghost] = [await start('a'), await start('hub'), startBare('liar'), startBare('ghost')]
  connect(a, hub)
  connect(liar, hub)
  await time.run(1_000)
  const invented = await signRecord(ghost.port, recordOf(ghost))
  await liar.port.to(hub.id, directoryProtocol).push({ records: [invented] })
  await time.run(3_000)
  assert.deepEqual(hub.directory.announcers(ghost.id), [liar.id, `passed on by ${liar.id}`])
  assert.deepEqual(a.directory.announcers(ghost.id), [`passed on by ${hub.id}`], 'nothing of it is the own word of hub')
})

test('an agent that is known already is vouched for by later neighbours, the newest few of them', () => {
  const tables = startTables()
  tables.apply(plainRecord('x', 1), sign(plainRecord('x', 1)), 5_000, 0, true, 'first')
  assert.deepEqual(tables.announcers('x'), ['passed on by first'])
  for (let at = 0; at < 6; at += 1) {
    const digest = digestOf([['x', 1, 1, 0]])
    tables.compare({ digest, ended: NO_DIGEST, room: 9, from: `n${at}` }, 0)
    tables.compare({ digest, ended: NO_DIGEST, room: 9, from: `n${at}` }, 0)
  }
  assert.deepEqual(tables.announcers('x'), ['n2', 'n3', 'n4', 'n5', 'passed on by first'])
  tables.compare({ digest: digestOf([['x', 1, 1, 1]]), ended: NO_DIGEST, room: 9, from: 'aged' }, 0)
  tables.compare({ digest: digestOf([['unheard', 1, 1, 0]]), ended: NO_DIGEST, room: 9, from: 'n9' }, 0)
  assert.ok(!tables.announcers('x').includes('aged'))
  assert.deepEqual(tables.announcers('unheard'), [])
  give(tables, plainRecord('x', 2), 10)
  assert.ok(tables.announcers('x').includes('n5'), 'a newer record changes nothing of it')
  tables.markConnected('x')
  assert.deepEqual(tables.announcers('x'), ['x'])
})

test('gossip says nothing of how old a record is, and so vouches for nothing', () => {
  const tables = startTables()
  tables.apply(plainRecord('x', 1), sign(plainRecord('x', 1)), 0, 0, false, 'neighbour')
  assert.deepEqual(tables.announcers('x'), ['passed on by neighbour'])
})
