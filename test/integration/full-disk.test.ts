/** A node whose disk is full when it starts: it starts, says so, is read, and goes on by itself once there is room. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { createMesh } from '../../node/index.ts'
import { isParleyError } from '../../protocols/errors.ts'
import { createSmallDisk, noSmallDisk } from '../crash/small-disk.ts'
import { failureOf, until } from '../support/until.ts'

const RECORDS = 10

test('on a full disk a node starts, its records are read, and it is ready again once there is room', {
  skip: noSmallDisk() ?? false,
  timeout: 120_000,
}, async (t) => {
  const disk = createSmallDisk()
  t.after(() => disk.remove())
  const said: string[] = []
  const error = (message: string): void => void said.push(message)
  const open = async () => {
    const mesh = await createMesh({
      name: 'full',
      dataDir: join(disk.path, 'data'),
      listen: [],
      debug: false,
      control: false,
      log: { error, warn() {}, info() {} },
      discovery: { mdns: false },
    })
    t.after(() => mesh.stop())
    return mesh
  }
  const count = async (mesh: Awaited<ReturnType<typeof open>>): Promise<number> =>
    (await mesh.journal.list('record/', { consistency: 'local' })).records.length

  const first = await open()
  await first.coordinator.found({ timeoutMs: 20_000 })
  for (let i = 0; i < RECORDS; i += 1) await first.journal.put(`record/${i}`, i)
  await first.stop()

  await disk.fill()
  const second = await open()
  assert.ok(
    said.some((message) => message.startsWith('the disk is full')),
    said.join('; '),
  )
  await until('all records are read', async () => (await count(second)) === RECORDS)
  await second.stop()

  // What it kept for a start is used up, and somebody else took that room.
  await disk.fill()
  const third = await open()
  await until('all records are read', async () => (await count(third)) === RECORDS)
  // A few rows find room that was made before; many do not.
  const many = third.messages.change(async (tx) => {
    for (let i = 0; i < 8; i += 1) tx.put(`large/${i}`, 'x'.repeat(300_000))
  })
  const refused = await failureOf(many)
  assert.ok(isParleyError(refused, 'STA003') && refused.details.reason === 'disk-full', String(refused))
  assert.match(third.readiness().reasons.join('; '), /no room/)

  await disk.makeRoom()
  await until('it is ready', () => third.readiness().ready, 20_000)
  await third.journal.put('record/more', 1)
  await until('messages are stored', () => third.messages.change(async () => true).catch(() => undefined))
  assert.equal((await third.journal.list('record/')).records.length, RECORDS + 1)
})
