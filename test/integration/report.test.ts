/** The main job as people run it: as a program, on real folders. */
import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { lastLine, makeFolder, PROSE, start } from '../support/report-job.ts'

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
