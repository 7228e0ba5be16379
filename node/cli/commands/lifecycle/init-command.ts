/**
 * `parley init`: a commented configuration and a secret, with which `parley up` works at once. `parley secret`: makes one,
 * and prints it or writes it to a file that only its owner can read.
 */
import { access, mkdir, writeFile } from 'node:fs/promises'
import { basename, join, relative, resolve } from 'node:path'
import { ParleyError } from '../../../../protocols/errors.ts'
import { CONFIG_NAME } from '../../../options/config/load-config.ts'
import { starterFile } from '../../../options/config/starter-file.ts'
import { FILE_MODE, fileError, systemCode } from '../../../platform/private-file.ts'
import { makeSecret } from '../../../trust/secret.ts'
import { TYPED_COMMAND } from '../../output/exit-codes.ts'

export interface InitOptions {
  dir?: string
  force?: boolean
  json?: boolean
}

const SECRET_NAME = 'parley.secret'
const DEFAULT_MESH = 'parley'

/** The name of the folder, where it can be one of a mesh. */
const meshName = (folder: string): string => {
  const name = basename(resolve(folder))
  return /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(name) ? name : DEFAULT_MESH
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  )

/** @returns false where there is one already */
const writeNew = async (path: string, text: string, flag: 'w' | 'wx', mode?: number): Promise<boolean> => {
  try {
    await writeFile(path, text, { flag, ...(mode !== undefined && { mode }) })
    return true
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return false
    throw fileError('writing', path, error)
  }
}

const taken = (path: string): ParleyError =>
  new ParleyError('STA003', `${path} exists already and is left as it is`, {
    hint: 'use it as it is, or write a new one in its place with --force; a secret is never replaced',
    details: { reason: 'exists', path },
  })

const quoted = (path: string): string => (/^[\w./-]+$/.test(path) ? path : `'${path}'`)

/** @throws STA003 where the configuration exists already and --force was not given, or the disk does not take it */
export const init = async ({ dir = '.', force = false, json = false }: InitOptions): Promise<void> => {
  const config = join(dir, CONFIG_NAME)
  const secret = join(dir, SECRET_NAME)
  if (!force && (await exists(config))) throw taken(config)
  try {
    await mkdir(dir, { recursive: true })
  } catch (error) {
    throw fileError('making the folder', dir, error)
  }
  const isNew = await writeNew(secret, `${makeSecret()}\n`, 'wx', FILE_MODE)
  const text = starterFile({ mesh: meshName(dir), secretFile: SECRET_NAME })
  if (!(await writeNew(config, text, force ? 'w' : 'wx'))) throw taken(config)
  if (json) {
    process.stdout.write(`${JSON.stringify({ config, secret, madeSecret: isNew })}\n`)
    return
  }
  const folder = relative('.', resolve(dir))
  process.stdout.write(`wrote ${config}, with every line explained
${isNew ? `wrote ${secret}, a new secret (mode 0600): give it to every node of the mesh` : `kept ${secret}, the secret that was there`}
start a node: ${folder === '' ? '' : `cd ${quoted(folder)} && `}${TYPED_COMMAND} up
keep out of version control (.gitignore): ${SECRET_NAME} .parley/
`)
}

/** @throws STA003 when there is such a file already, or it cannot be written */
export const printSecret = async ({ out }: { out?: string }): Promise<void> => {
  const secret = makeSecret()
  if (out === undefined) {
    process.stdout.write(`${secret}\n`)
    return
  }
  try {
    await writeFile(out, `${secret}\n`, { flag: 'wx', mode: FILE_MODE })
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') throw fileError('writing', out, error)
    throw new ParleyError('STA003', `${out} exists already and is left as it is`, {
      hint: 'nodes that use it would lose each other with a new one; name another file, or remove it yourself',
      details: { reason: 'exists' },
    })
  }
  process.stderr.write(`wrote a new secret to ${out}; give it to every node of the mesh\n`)
}
