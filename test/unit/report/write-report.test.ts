import assert from 'node:assert/strict'
import { lstatSync, readdirSync, readFileSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { checkOut, writeReport } from '../../../examples/report/write-report.ts'
import { isParleyError } from '../../../protocols/errors.ts'
import { folder } from './folder.ts'

describe('writing the report', () => {
  test('replaces the old one and leaves nothing else behind', async (t) => {
    const root = folder(t, { 'report.md': 'old' })
    await writeReport(join(root, 'report.md'), ['ne', 'w'])
    assert.equal(readFileSync(join(root, 'report.md'), 'utf8'), 'new')
    assert.deepEqual(readdirSync(root), ['report.md'])
  })

  test('replaces a symbolic link and not what it leads to', async (t) => {
    const root = folder(t, { precious: 'kept' })
    symlinkSync('precious', join(root, 'report.md'))
    await writeReport(join(root, 'report.md'), ['ne', 'w'])
    assert.equal(readFileSync(join(root, 'precious'), 'utf8'), 'kept')
    assert.ok(lstatSync(join(root, 'report.md')).isFile())
  })

  test('refuses a folder, and says what to give instead', async (t) => {
    const root = folder(t)
    // One after the other: what fails while nobody waits for it fails the test.
    for (const attempt of [() => checkOut(root), () => writeReport(root, ['x'])]) {
      await assert.rejects(
        attempt,
        (error) => isParleyError(error, 'MSG001') && error.hint?.includes('report.md') === true,
      )
    }
  })

  test('refuses a place that is not there or not writable, at once, and leaves nothing behind', async (t) => {
    const root = folder(t, { file: 'x' })
    const isRefused = (error: unknown): boolean =>
      isParleyError(error, 'APP001') && error.hint?.includes('--out') === true
    for (const out of [join(root, 'none', 'r.md'), join(root, 'file', 'r.md'), '/proc/r.md']) {
      await assert.rejects(checkOut(out), isRefused)
      await assert.rejects(writeReport(out, ['x']), isRefused)
    }
    assert.deepEqual(readdirSync(root), ['file'])
  })

  test('leaves nothing behind when the last step fails', async (t) => {
    const root = folder(t)
    await assert.rejects(writeReport(join(root, 'x'.repeat(300)), ['x']), (error) => isParleyError(error, 'APP001'))
    assert.deepEqual(readdirSync(root), [])
  })

  test('is found possible without leaving anything', async (t) => {
    const root = folder(t)
    await checkOut(join(root, 'report.md'))
    assert.deepEqual(readdirSync(root), [])
  })
})
