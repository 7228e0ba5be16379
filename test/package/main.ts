/**
 * The package as strangers get it: packed, installed into an empty folder and used there, on the Nodes that it promises.
 * `npm run package-check`. Prints a line for each check; exit code 1 where one fails. Needs npm's registry.
 */
import assert from 'node:assert/strict'
import { fileURLToPath } from 'node:url'
import { VERSION } from '../../node/platform/version.ts'
import { type Consumer, installInto } from './consumer.ts'
import { openFolders } from './folders.ts'
import { lint } from './linters.ts'
import { installNode, type NodeOnDisk, olderNode } from './nodes.ts'
import { faultsOf, pack } from './tarball.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
/** The oldest that `engines` promises. */
const OLDEST = '22.18.0'
const kilobytes = (bytes: number): string => `${Math.round(bytes / 1024)} KiB`

let failed = 0

/** Says what it does, how long it took, and what came of it; the others go on where it fails. */
const check = async (what: string, doIt: () => Promise<unknown>): Promise<void> => {
  const startedAt = performance.now()
  process.stdout.write(`${what} … `)
  try {
    const told = await doIt()
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(1)
    process.stdout.write(`ok ${typeof told === 'string' && told !== '' ? `(${told}) ` : ''}${seconds} s\n`)
  } catch (error) {
    failed += 1
    process.stdout.write(`FAILED\n${error instanceof Error ? error.message : String(error)}\n`)
  }
}

const works = async (consumer: Consumer, { path, version }: NodeOnDisk): Promise<void> => {
  await check(`Node ${version}: two nodes talk`, async () => void (await consumer.runs('talk.mjs', path)))
  await check(`Node ${version}: npx parley --version, npx parley-mesh --version`, async () => {
    const versions = []
    for (const name of ['parley', 'parley-mesh']) versions.push(await consumer.npx(path, name, '--version'))
    for (const { code, stdout, said } of versions) {
      assert.equal(code, 0, said)
      assert.equal(stdout, `${VERSION}\n`)
    }
  })
  await check(`Node ${version}: the first five minutes of the README`, () => consumer.firstSteps(path))
  await check(`Node ${version}: the debug page, without development dependencies`, () =>
    consumer.runs('page.mjs', path),
  )
}

const refuses = async (consumer: Consumer, { path, version }: NodeOnDisk): Promise<void> => {
  await check(`Node ${version}: one sentence and exit code 1`, async () => {
    const { code, stdout, stderr } = await consumer.npx(path, 'parley', 'up')
    const said = stderr.split('\n').filter((line) => line !== '' && !line.startsWith('npm warn'))
    assert.deepEqual({ code, stdout, lines: said.length }, { code: 1, stdout: '', lines: 1 }, stderr)
    assert.match(said[0] ?? '', /^parley needs Node 22\.18 or newer and this is Node /)
    await assert.rejects(
      () => consumer.runs('talk.mjs', path),
      /Error: parley-mesh needs Node 22\.18 or newer and this is Node /,
    )
  })
}

const folders = await openFolders()
try {
  const tarball = await pack(ROOT, await folders.project('tarball'))
  const { size, unpackedSize, files } = tarball
  process.stdout.write(`${kilobytes(size)}, ${kilobytes(unpackedSize)} unpacked, ${files.length} files\n`)
  await check('what is in it', async () => assert.deepEqual(faultsOf(tarball), []))
  const consumer = await installInto(folders, tarball.path)
  await check('types under nodenext', () => consumer.compiles('nodenext'))
  await check('types under bundler', () => consumer.compiles('bundler'))
  const own = { path: process.execPath, version: process.versions.node }
  await check('optional parts are left alone', async () => {
    const { byImport, byNode } = await consumer.loadsNothingOptional(own.path)
    return `${byImport} modules by the import, ${byNode} more by a node`
  })
  await works(consumer, own)
  for (const page of ['testing.md', 'tasks.md', 'resources.md', 'coordination.md'])
    await check(`the programs of docs/${page}`, async () => `${await consumer.runsPage(page, own.path)} of them`)
  await works(consumer, await installNode(folders, OLDEST))
  const newest = await installNode(folders, '22')
  await check(`Node ${newest.version}: two nodes talk`, async () => void (await consumer.runs('talk.mjs', newest.path)))
  await refuses(consumer, await olderNode(folders))
  await check('linters', async () => (await lint(tarball.path)).join(', '))
} finally {
  await folders.remove()
}
process.exitCode = failed === 0 ? 0 : 1
