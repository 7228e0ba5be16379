/** The versions of Node that the package is tried on: this one, the oldest that is supported, and one that is too old. */
import { accessSync, constants } from 'node:fs'
import { delimiter, join, sep } from 'node:path'
import type { Folders } from './folders.ts'
import { run } from './run.ts'

export interface NodeOnDisk {
  /** The binary. */
  readonly path: string
  readonly version: string
}

const versionOf = async (path: string): Promise<string> =>
  (await run(path, ['--version'], { cwd: '/', node: path })).stdout.trim().slice(1)

/** From the npm package `node`, which fetches its binary in an install script. */
export const installNode = async (folders: Folders, range: string): Promise<NodeOnDisk> => {
  const cwd = await folders.project(`node-${range}`, { allowScripts: { node: true } })
  await run('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline', `node@${range}`], { cwd })
  const path = join(cwd, 'node_modules/node/bin/node')
  return { path, version: await versionOf(path) }
}

/** The system's own, where it is older than 22; else Node 20 from npm. */
export const olderNode = async (folders: Folders): Promise<NodeOnDisk> => {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    if (folder.split(sep).includes('node_modules')) continue
    const path = join(folder, 'node')
    try {
      accessSync(path, constants.X_OK)
    } catch {
      continue
    }
    const version = await versionOf(path)
    if (Number(version.split('.')[0]) < 22) return { path, version }
  }
  return installNode(folders, '20')
}
