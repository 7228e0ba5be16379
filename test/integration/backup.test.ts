/** `parley store backup` of a node that is at work, and what comes back of it. */
import assert from 'node:assert/strict'
import { cp, mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { z } from 'zod'
import { backUpStore } from '../../node/cli/commands/store/store-copies.ts'
import { verifyStore } from '../../node/cli/commands/store/store-verify.ts'
import { defineMessage, type Mesh } from '../../node/index.ts'
import { isParleyError } from '../../protocols/errors.ts'
import { run } from '../support/caught-output.ts'
import { testFolder } from '../support/folder.ts'
import { openAlone } from '../support/lone-node.ts'
import { failureOf, until } from '../support/until.ts'

const FOUND_MS = 20_000
const Note = defineMessage({ type: 'backup.note', version: '1.0.0', schema: z.object({ n: z.number() }) })

const open = (dataDir: string): Promise<Mesh> =>
  openAlone(dataDir, { events: { history: [{ topic: 'backup.#', store: 'disk', maxEvents: 10_000 }] } })

test('a backup that is made at work is whole, and a node that starts on it has all that was answered before it', async (t) => {
  const folder = await testFolder(t)
  const dataDir = join(folder, 'data')
  const mesh = await open(dataDir)
  await mesh.coordinator.found({ timeoutMs: FOUND_MS })
  await mesh.fences.accept('backup', { term: 1, index: 1 })
  await mesh.messages.inbox.open({ types: [Note] })
  let [written, isOver] = [0, false]
  const work = async (): Promise<void> => {
    while (!isOver) {
      const n = written + 1
      await mesh.messages.change(async (tx) => {
        tx.put('count', n)
        tx.put(`row/${n % 50}`, 'x'.repeat(2_000))
      })
      await mesh.journal.put(`record/${n % 20}`, n)
      await mesh.events.publish('backup.told', { n })
      written = n
    }
  }
  const working = work()
  await until('work', () => written > 50)
  const backups: { path: string; answered: number }[] = []
  for (let i = 0; i < 3; i += 1) {
    const path = join(folder, `backup-${i}`)
    const answered = written
    const { out, error } = await run(t, () => backUpStore(path, { dataDir, json: true }))
    assert.equal(error, undefined)
    const facts = JSON.parse(out)
    assert.ok(facts.files > 5 && facts.rows > 10 && facts.lastIndex >= answered, out)
    backups.push({ path, answered })
  }
  isOver = true
  await working
  const peer = mesh.self.id
  await mesh.stop()

  for (const { path, answered } of backups) {
    assert.equal((await stat(path)).mode & 0o777, 0o700)
    assert.equal((await stat(join(path, 'identity.key'))).mode & 0o777, 0o600)
    assert.ok(!(await readdir(path)).some((name) => ['lock', 'node.json', 'control.sock'].includes(name)))
    const { error } = await run(t, () => verifyStore({ dataDir: path }))
    assert.equal(error, undefined)
    const back = await open(path)
    try {
      assert.equal(back.self.id, peer)
      await back.coordinator.found({ timeoutMs: FOUND_MS })
      assert.ok(Number(await back.messages.state.get('count')) >= answered)
      const { records } = await back.journal.list('record/')
      assert.ok(Math.max(...records.map(({ value }) => Number(value))) >= answered)
    } finally {
      await back.stop()
    }
  }
})

test('a folder that holds something, and one within the data directory, are refused; what is damaged is not copied', async (t) => {
  const folder = await testFolder(t)
  const dataDir = join(folder, 'data')
  const mesh = await open(dataDir)
  await mesh.messages.change(async (tx) => tx.put('a', 1))
  await mesh.stop()
  const full = join(folder, 'full')
  await mkdir(full)
  await writeFile(join(full, 'mine'), 'mine')
  const inUse = await failureOf(backUpStore(full, { dataDir }))
  assert.ok(isParleyError(inUse, 'STA003') && inUse.details.reason === 'in-use', String(inUse))
  assert.deepEqual(await readdir(full), ['mine'])
  await assert.rejects(backUpStore(join(dataDir, 'backup'), { dataDir }), /cannot lie in what it is of/)
  await assert.rejects(backUpStore(join(folder, 'b'), { dataDir: folder }), /no data directory of a node/)

  const spoiled = join(folder, 'spoiled')
  await cp(dataDir, spoiled, { recursive: true })
  await rm(join(spoiled, 'messages', 'rows', 'mark'))
  const to = join(folder, 'never')
  const damaged = await failureOf(backUpStore(to, { dataDir: spoiled }))
  assert.ok(isParleyError(damaged, 'STA003') && damaged.details.reason === 'damaged', String(damaged))
  assert.equal(await stat(to).catch(() => undefined), undefined)
})
