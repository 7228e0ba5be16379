/** What may be in the package and what must be. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { faultsOf } from '../../package/tarball.ts'

const GOOD = [
  'package.json',
  'README.md',
  'LICENSE',
  'CHANGELOG.md',
  'SECURITY.md',
  'ARCHITECTURE.md',
  'CONTRIBUTING.md',
  'docs/glossary.md',
  'docs/mesh.svg',
  'docs/asyncapi.json',
  'docs/calls.md',
  'docs/configuration.md',
  'docs/parts.md',
  'docs/protocol.md',
  'docs/tasks.md',
  'docs/decisions/design.md',
  'node/cli/bin.js',
  'dist/node/index.d.ts',
  'dist/command/main.js',
  'dist/command/worker.js',
  'dist/command/LICENSES.txt',
  'dist/lib/index.js',
  'dist/lib/testing.js',
  'dist/lib/worker.js',
  'dist/lib/protocols.js',
  'dist/protocols/index.d.ts',
  'dist/lib/discovery.js',
  'dist/discovery/index.d.ts',
  'protocols/wire/parley.proto',
]
const packed = (paths: readonly string[], unpackedSize = 1_000) => ({
  files: paths.map((path) => ({ path, size: 1 })),
  unpackedSize,
})

describe('what is in the package', () => {
  test('the compiled sources, the formats and the texts are all of it', () => {
    assert.deepEqual(faultsOf(packed(GOOD)), [])
  })

  test('a file that is missing is named', () => {
    assert.deepEqual(faultsOf(packed(GOOD.filter((path) => path !== 'node/cli/bin.js'))), [
      'node/cli/bin.js is missing',
    ])
  })

  for (const path of [
    'node/mesh.ts',
    'dist/node/mesh.js.map',
    'examples/hello.ts',
    '.ci/run',
    'mesh.secret',
    'docs/api/index.md',
    'dist/test/run.js',
    'dist/node/mesh.test.js',
  ]) {
    test(`${path} does not belong there`, () => {
      assert.ok(faultsOf(packed([...GOOD, path])).includes(`${path} does not belong there`))
    })
  }

  test('ten mebibytes unpacked are let through, and not one byte more', () => {
    assert.deepEqual(faultsOf(packed(GOOD, 10 * 1024 * 1024)), [])
    assert.equal(faultsOf(packed(GOOD, 10 * 1024 * 1024 + 1)).length, 1)
  })
})
