import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { readEnvironment } from '../../../node/options/config/environment.ts'

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

test('the image has labels, with the version of the package', async () => {
  const { version, license } = JSON.parse(await readFile(new URL('../../../package.json', import.meta.url), 'utf8'))
  const labels = [...argumentOf('LABEL').matchAll(/org\.opencontainers\.image\.(\w+)="([^"]*)"/g)]
  const named = Object.fromEntries(labels.map(([, name, value]) => [name, value]))
  assert.deepEqual(Object.keys(named), ['title', 'description', 'version', 'revision', 'licenses'])
  assert.deepEqual([named.version, named.licenses], [version, license])
})

test('every node of the image has the health listener, which its health check asks without a process of Node', () => {
  assert.match(final, /^ENV PARLEY_HEALTH__HOST=0\.0\.0\.0 PARLEY_HEALTH__PORT=8091$/m)
  assert.match(argumentOf('HEALTHCHECK'), /CMD \["\/app\/probe\.sh", "\/readyz"\]$/)
  const known = readEnvironment({ PARLEY_HEALTH__HOST: '0.0.0.0', PARLEY_HEALTH__PORT: '8091' })
  assert.deepEqual(known.issues, [])
})

test('the classic builder can build it', () => {
  assert.doesNotMatch(text, /--mount|--link|--chmod|--parents|<<|^# syntax/m)
})
