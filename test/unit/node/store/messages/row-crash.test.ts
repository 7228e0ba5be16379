/** A row store whose process or machine went away: exactly the first commits are there, all that were answered among them. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { statSync } from 'node:fs'
import { copyFile, mkdir, readdir, stat, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { openRowStore } from '../../../../../node/store/messages/row-store.ts'
import { createRandom } from '../../../../../node/testing/virtual/virtual-time.ts'
import { testFolder } from '../../../../support/folder.ts'
import { until } from '../../../../support/until.ts'
import { checkRows, createLoad } from './row-load.ts'
import { deps } from './row-stores.ts'

const WRITER = join(import.meta.dirname, 'row-writer.ts')

/** The log that is written now. */
const logOf = async (folder: string): Promise<string> => {
  const logs = (await readdir(join(folder, 'db'))).filter((name) => name.endsWith('.log')).sort()
  return join('db', logs.at(-1) ?? '')
}

/** What a power cut may leave: the mark of before, and of the log what was synced by then, and a part of what came after. */
const cutPower = async (folder: string, to: string, random: () => number): Promise<void> => {
  await mkdir(join(to, 'db'), { recursive: true })
  await copyFile(join(folder, 'mark'), join(to, 'mark'))
  const log = await logOf(folder)
  const synced = statSync(join(folder, log)).size
  for (const name of await readdir(join(folder, 'db')))
    if (!/^L/.test(name)) await copyFile(join(folder, 'db', name), join(to, 'db', name))
  const { size } = await stat(join(to, log))
  await truncate(join(to, log), synced + Math.floor(random() * (size - synced + 1)))
}

test('after a power cut exactly the first commits are there, all that were answered among them', async (t) => {
  const folder = await testFolder(t)
  const seed = Date.now() % 1_000_000
  t.diagnostic(`seed ${seed}`)
  const random = createRandom(seed)
  const store = await openRowStore(join(folder, 'store'), deps())
  const load = createLoad()
  const running = load.run(store, 16)
  const cuts: { readonly folder: string; readonly answered: number; readonly called: number }[] = []
  for (let i = 0; i < 20; i += 1) {
    const more = load.answered() + Math.floor(random() * 200)
    await until('more commits', () => load.answered() > more, 10_000, 1)
    const answered = load.answered()
    const to = join(folder, `cut-${i}`)
    await cutPower(join(folder, 'store'), to, random)
    cuts.push({ folder: to, answered, called: load.called() })
  }
  load.stop()
  await running
  await store.close()
  for (const { folder: cut, answered, called } of cuts) {
    const left = await openRowStore(cut, deps())
    const to = await checkRows(left)
    assert.ok(to >= answered && to <= called, `${to} is not within ${answered} to ${called}`)
    await left.close()
  }
})

for (const inFlight of [1, 64])
  test(`a process that is killed with ${inFlight} commits in flight loses nothing that was answered`, async (t) => {
    const folder = join(await testFolder(t), 'store')
    let answered = 0
    for (let life = 0; life < 4; life += 1) {
      const child = spawn(process.execPath, [WRITER, folder, String(inFlight)], { stdio: ['ignore', 'pipe', 'pipe'] })
      t.after(() => child.kill('SIGKILL'))
      const ended = new Promise((resolve) => child.once('close', resolve))
      let [out, err] = ['', '']
      child.stdout.setEncoding('utf8').on('data', (some: string) => {
        out += some
      })
      child.stderr.setEncoding('utf8').on('data', (some: string) => {
        err += some
      })
      const target = answered + 200 + 300 * life
      const last = (): number => Number(out.trimEnd().split('\n').at(-2) ?? 0)
      await until('commits', () => (child.exitCode === null ? last() > target : assert.fail(err)), 20_000, 5)
      child.kill('SIGKILL')
      await ended
      assert.equal(err, '')
      answered = Number(out.trimEnd().split('\n').at(-1))
      const store = await openRowStore(folder, deps())
      assert.ok((await checkRows(store)) >= answered)
      await store.close()
    }
  })
