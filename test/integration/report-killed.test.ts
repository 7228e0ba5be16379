/** The main job with agents killed in the middle of their tasks: others do them, and the report is the same. */
import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { makeSecret } from '../../node/index.ts'
import { programOf } from '../support/program.ts'
import { childrenOf, HELD_MS, lastLine, makeFolder, PROSE, start } from '../support/report-job.ts'
import { until } from '../support/until.ts'

describe('the main job and agents that are killed', { timeout: 110_000 }, () => {
  test('leaves no agent behind whose parent is gone before it has started', async () => {
    const args = ['outliner', 'orphans', join(makeFolder(), 'outliner')]
    const env = { ...process.env, PARLEY_SECRET: makeSecret() }
    const agent = fork(programOf('examples/report/agent-process.ts'), args, { env, stdio: 'ignore' })
    agent.disconnect()
    const limit = setTimeout(() => agent.kill('SIGKILL'), 40_000)
    const [code] = await once(agent, 'exit')
    clearTimeout(limit)
    assert.equal(code, 0)
  })

  test('loses no document when agents are killed in the middle, the composer among them', async () => {
    const folder = makeFolder()
    const out = join(makeFolder(), 'report.md')
    const total = 600
    for (let i = 0; i < total; i += 1) {
      writeFileSync(
        join(folder, `document-${i}.md`),
        `# Document ${i}\n\n${PROSE.repeat(20)}\n\nNumber ${i} is ${i * 7}.\n`,
      )
    }
    const { child, output, exit } = start(['--once', '--json', '--out', out, folder])
    const pid = child.pid ?? 0
    const kill = async (name: string): Promise<void> => {
      const found = childrenOf(pid, name)
      assert.equal(found.length, 1)
      for (const victim of found) process.kill(victim, 'SIGKILL')
      await until(`the loss of ${name} to be noticed`, () => output.stderr.includes(`${name} ended`), 10_000)
    }
    const percentages = (): number => output.stderr.match(/\d+ ?%/g)?.length ?? 0
    await until('progress', () => percentages() > 0, 60_000)
    // Held still, so that there is work on it when it dies.
    const [held = 0] = childrenOf(pid, 'outliner')
    process.kill(held, 'SIGSTOP')
    await kill('composer')
    await new Promise((resolve) => setTimeout(resolve, HELD_MS))
    await kill('outliner')
    const before = percentages()
    await until('progress of the next composer', () => percentages() > before, 60_000)
    assert.equal(await exit, 0, output.stderr)
    const summary = lastLine(output.stdout)
    assert.equal(summary.documents, total)
    assert.equal(summary.processed, total)
    assert.equal(summary.failed, 0)
    assert.ok(Number(summary.reassigned) > 0, 'a killed worker had work on it')
    assert.deepEqual(childrenOf(pid, 'composer'), [])
  })

  test('writes the same report, whichever agent is killed in the middle', async () => {
    const folder = makeFolder()
    const place = makeFolder()
    for (let i = 0; i < 400; i += 1) {
      writeFileSync(
        join(folder, `document-${i}.md`),
        `# Document ${i}\n\n${PROSE.repeat(i % 40)}\n\nNumber ${i} is ${i * 7}: [next](document-${i + 1}.md).\n`,
      )
    }
    /** Without when it was written, by whom, and how long that took. */
    const reportOf = (out: string): string => {
      const text = readFileSync(out, 'utf8')
      const lines = text.split('\n').filter((line) => !line.startsWith('Composed by '))
      return lines.join('\n').replace(/(## <a id="work"><\/a>)[\s\S]*?(?=\nOutlines are read)/, '$1')
    }
    const [quiet, hurt] = [join(place, 'quiet.md'), join(place, 'hurt.md')]
    const undisturbed = start(['--once', '--json', '--out', quiet, folder])
    assert.equal(await undisturbed.exit, 0, undisturbed.output.stderr)
    const { child, output, exit } = start(['--once', '--json', '--out', hurt, folder])
    await until('progress', () => /\d+ ?%/.test(output.stderr), 60_000)
    // Held still, so that there is work on it when it dies.
    const [victim = 0] = childrenOf(child.pid ?? 0, 'linker')
    process.kill(victim, 'SIGSTOP')
    await new Promise((resolve) => setTimeout(resolve, HELD_MS))
    process.kill(victim, 'SIGKILL')
    assert.equal(await exit, 0, output.stderr)
    assert.match(output.stderr, /linker ended/)
    assert.ok(Number(lastLine(output.stdout).reassigned) > 0, 'a killed worker had work on it')
    assert.ok(reportOf(hurt).includes('document-400.md'), 'the report tells of the link that leads nowhere')
    assert.equal(reportOf(hurt), reportOf(quiet))
  })
})
