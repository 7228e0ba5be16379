import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { type Lock, sbomOf } from '../../../docker/sbom.ts'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const { packages } = JSON.parse(await readFile(`${ROOT}package-lock.json`, 'utf8')) as { packages: Lock }
const sbom = sbomOf(packages)
const refs = sbom.components.map((component) => component['bom-ref'])

const nameOf = (path: string, name: string | undefined): string => name ?? path.replace(/^.*node_modules\//, '')

test('it has each package that is installed for use, and none that only developers need', () => {
  const used = Object.entries(packages)
    .filter(([path, { dev, optional, peer }]) => path !== '' && ![dev, optional, peer].includes(true))
    .map(([path, { name, version }]) => `${nameOf(path, name)}@${version}`)
  const named = sbom.components.map(
    ({ group, name, version }) => `${group === undefined ? '' : `${group}/`}${name}@${version}`,
  )
  assert.ok(named.length > 50)
  assert.deepEqual(
    [...new Set(used)].filter((one) => !named.includes(one)),
    [],
  )
  const only = Object.entries(packages).filter(([, { dev }]) => dev === true)
  const ofUse = new Set(used)
  const developers = only.map(([path, { name, version }]) => `${nameOf(path, name)}@${version}`)
  assert.deepEqual(
    developers.filter((one) => named.includes(one) && !ofUse.has(one)),
    [],
  )
  assert.ok(!named.some((one) => one.startsWith('typescript@') || one.startsWith('@biomejs/')))
})

test('each part has its version, licence, checksum and package URL, once', () => {
  assert.equal(new Set(refs).size, refs.length)
  for (const { purl, version, licenses, hashes } of sbom.components) {
    assert.match(purl, /^pkg:npm\/(%40[\w.-]+\/)?[\w.-]+@\d+\.\d+\.\d+/)
    assert.ok(purl.endsWith(`@${version}`))
    assert.ok(licenses?.[0]?.expression !== undefined, purl)
    assert.match(hashes?.[0]?.content ?? '', /^[0-9a-f]{128}$/, purl)
  }
})

test('what depends on what leads to parts that are there, from the package itself on', () => {
  const own = sbom.metadata.component['bom-ref']
  assert.match(own, /^pkg:npm\/parley-mesh@/)
  const known = new Set([own, ...refs])
  const wrong = sbom.dependencies.flatMap(({ ref, dependsOn }) => [ref, ...dependsOn]).filter((ref) => !known.has(ref))
  assert.deepEqual(wrong, [])
  assert.ok(
    sbom.dependencies.find(({ ref }) => ref === own)?.dependsOn.some((ref) => ref.startsWith('pkg:npm/libp2p@')),
  )
})

test('of two versions of a package the one is named that Node finds', () => {
  const lock: Lock = {
    '': { name: 'own', version: '1.0.0', dependencies: { a: '*', b: '*' }, optionalDependencies: { gone: '*' } },
    'node_modules/a': { version: '1.0.0', dependencies: { b: '^1' } },
    'node_modules/a/node_modules/b': { version: '1.9.0', dependencies: { c: '*' } },
    'node_modules/b': { version: '2.0.0' },
    'node_modules/c': { version: '3.0.0', peerDependencies: { d: '*' } },
    'node_modules/d': { version: '4.0.0', dev: true },
  }
  const { components, dependencies } = sbomOf(lock)
  assert.deepEqual(
    components.map(({ purl }) => purl),
    ['pkg:npm/a@1.0.0', 'pkg:npm/b@1.9.0', 'pkg:npm/b@2.0.0', 'pkg:npm/c@3.0.0'],
  )
  const on = Object.fromEntries(dependencies.map(({ ref, dependsOn }) => [ref, dependsOn]))
  assert.deepEqual(on['pkg:npm/own@1.0.0'], ['pkg:npm/a@1.0.0', 'pkg:npm/b@2.0.0'])
  assert.deepEqual(on['pkg:npm/a@1.0.0'], ['pkg:npm/b@1.9.0'])
  assert.deepEqual(on['pkg:npm/b@1.9.0'], ['pkg:npm/c@3.0.0'])
})

test('the command writes it, the same each time', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, ['docker/sbom.ts'], { cwd: ROOT, maxBuffer: 2 ** 24 })
  assert.deepEqual(JSON.parse(stdout), sbom)
  assert.match(sbom.serialNumber, /^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$/)
})
