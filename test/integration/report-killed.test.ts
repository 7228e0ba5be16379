/** The main job with a worker killed in the middle of its tasks: another one does them, and the report is the same. */
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

describe('the main job and a worker that is killed', { timeout: 110_000 }, () => {
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
