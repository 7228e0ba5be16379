/**
 * Folders that nothing of this machine reaches into: Node and npx look for packages and commands in every folder above,
 * and a `node_modules` there would hide what the package itself forgot to bring along.
 */
import { existsSync } from 'node:fs'
import { mkdtemp, realpath, rm, writeFile } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

const isReached = (folder: string): boolean =>
  existsSync(join(folder, 'node_modules')) || (dirname(folder) !== folder && isReached(dirname(folder)))

export interface Folders {
  /** A new folder with the package.json of a program that has `fields` in it. */
  project(name: string, fields?: Record<string, unknown>): Promise<string>
  remove(): Promise<void>
}

/** @throws where every candidate has a node_modules above it */
export const openFolders = async (): Promise<Folders> => {
  const candidates = await Promise.all(
    [tmpdir(), '/var/tmp', homedir()].filter((path) => existsSync(path)).map((path) => realpath(path)),
  )
  const parent = candidates.find((path) => !isReached(path))
  if (parent === undefined)
    throw new Error(`each of ${candidates.join(', ')} is under a node_modules; set TMPDIR to a folder that is not`)
  const made: string[] = []
  return {
    async project(name, fields = {}) {
      const folder = await mkdtemp(join(parent, `parley-package-${name}-`))
      made.push(folder)
      const contents = { name, private: true, type: 'module', ...fields }
      await writeFile(join(folder, 'package.json'), `${JSON.stringify(contents, null, 2)}\n`)
      return folder
    },
    async remove() {
      await Promise.all(made.map((folder) => rm(folder, { recursive: true, force: true })))
    },
  }
}
