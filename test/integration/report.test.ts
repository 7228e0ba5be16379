/** The main job as people run it: as a program, on real folders, with a worker killed in the middle. */
import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { childrenOf, HELD_MS, lastLine, makeFolder, PROSE, start } from '../support/report-job.ts'
import { until } from '../support/until.ts'

describe('the main job', { timeout: 110_000 }, () => {
  test('works through a folder of odd files and says what it did in one line of JSON', async () => {
    const folder = makeFolder()
    const out = join(makeFolder(), 'report.md')
    writeFileSync(join(folder, 'notes.md'), `# Notes\n\n${PROSE.repeat(5)}\n\n## More\n\nSee [gone](missing.md).\n`)
    writeFileSync(join(folder, 'copy.md'), `# Notes\n\n${PROSE.repeat(5)}\n\n## More\n\nSee [gone](missing.md).\n`)
    writeFileSync(join(folder, 'empty.txt'), '')
    writeFileSync(join(folder, 'picture.bin'), Buffer.from([0x89, 0, 1, 2, 0, 255, 0, 3]))
    writeFileSync(join(folder, 'latin.txt'), Buffer.from('caf\xe9 na\xefve r\xe9sum\xe9 '.repeat(40), 'latin1'))
    writeFileSync(join(folder, 'one-line.json'), JSON.stringify({ data: 'x'.repeat(2_000_000) }))
    writeFileSync(join(folder, 'مرحبا 你好 🎉.txt'), PROSE.repeat(3))
    mkdirSync(join(folder, 'node_modules'))
    writeFileSync(join(folder, 'node_modules', 'left-out.js'), 'export {}')
    symlinkSync(folder, join(folder, 'loop'))
    const { output, exit } = start(['--once', '--json', '--out', out, folder])
    assert.equal(await exit, 0, output.stderr)
    const { wallMs, ...summary } = lastLine(output.stdout)
    assert.ok(typeof wallMs === 'number' && wallMs > 0)
    assert.deepEqual(summary, {
      documents: 7,
      processed: 5,
      skipped: 2,
      failed: 0,
      agents: 5,
      reassigned: 0,
      report: out,
    })
    assert.equal(output.stdout.trimEnd().split('\n').length, 1)
    assert.match(output.stderr, /the coordinator directed 6 tasks in 1 plan[;\n]/)
    assert.match(output.stderr, /debug endpoint: http:\/\/127\.0\.0\.1:\d+/)
    const report = readFileSync(out, 'utf8')
    for (const expected of [
      'notes.md',
      'copy.md',
      'missing.md',
      'latin.txt',
      'outliner',
      'linker',
      'composer',
      'binary',
      'empty',
    ]) {
      assert.ok(report.includes(expected), `the report does not name ${expected}`)
    }
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

  test('refuses a folder that is not there and a wrong command line, with what to do', async () => {
    const missing = start(['--once', '/definitely/not/here'])
    assert.equal(await missing.exit, 1)
    assert.match(missing.output.stderr, /error STA001: .*not there\nhint: /)
    const wrong = start(['--twice'])
    assert.equal(await wrong.exit, 2)
    assert.match(wrong.output.stderr, /--twice/)
    assert.match(wrong.output.stderr, /usage: npm start/)
  })
})
