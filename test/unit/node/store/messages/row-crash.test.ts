/** A row store whose process went away: exactly the first commits are there, all that were answered among them. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { openRowStore } from '../../../../../node/store/messages/row-store.ts'
import { testFolder } from '../../../../support/folder.ts'
import { until } from '../../../../support/until.ts'
import { checkRows } from './row-load.ts'
import { deps } from './row-stores.ts'

const WRITER = join(import.meta.dirname, 'row-writer.ts')

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
