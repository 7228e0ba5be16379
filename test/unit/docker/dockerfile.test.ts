import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'

const text = await readFile(new URL('../../../docker/Dockerfile', import.meta.url), 'utf8')

/** Instructions of the last stage, continued lines joined. */
const final =
  text
    .replace(/^#.*\n/gm, '')
    .replace(/\\\n/g, '')
    .split(/^FROM .*$/m)
    .at(-1) ?? ''
const argumentOf = (instruction: string): string =>
  new RegExp(`^${instruction} (.+)$`, 'm').exec(final)?.[1] ?? assert.fail(`no ${instruction}`)

test('the image runs as a user given by number, which is not root', () => {
  assert.match(argumentOf('USER'), /^[1-9]\d*:[1-9]\d*$/)
})

test('no shell stands between the engine and the node', () => {
  const forms = ['ENTRYPOINT', 'CMD', 'HEALTHCHECK'].map((name) => argumentOf(name).replace(/^.*CMD /, ''))
  for (const form of forms) assert.ok(Array.isArray(JSON.parse(form)), form)
})

test('the classic builder can build it', () => {
  assert.doesNotMatch(text, /--mount|--link|--chmod|--parents|<<|^# syntax/m)
})
