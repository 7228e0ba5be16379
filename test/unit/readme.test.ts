/**
 * What the README says works: its programs compile and run, its command lines are known, its links lead somewhere. Its metrics
 * are looked at in docker/monitoring.test.ts, beside those of alerts and dashboard.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { type Command, CommanderError } from 'commander'
import { z } from 'zod'
import { keepProgramArguments } from '../../node/cli/add-talk.ts'
import { createProgram } from '../../node/cli/main.ts'
import { OPERATIONS } from '../../node/debug/operations.ts'
import { MeshOptionsSchema, parseOptions } from '../../node/index.ts'
import { blocksOf, commandsOf } from '../support/markdown-blocks.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const at = (path: string): string => join(ROOT, path)
const run = promisify(execFile)

const TEXTS = ['README.md', 'docker/README.md']
const README = readFileSync(at('README.md'), 'utf8')
const blocks = blocksOf(README)
const programs = blocks
  .filter(({ language }) => language === 'ts')
  .map((block) => ({ ...block, name: block.marks.find((mark) => mark.endsWith('.ts')) ?? `line-${block.line}.ts` }))

/** One process for all, since most of the time of each would be its start. The first that fails ends it. */
const RUN_ALL = `
import { mkdirSync, writeFileSync } from 'node:fs'
import { makeSecret } from 'parley-mesh'
for (const name of process.argv.slice(2)) {
  const own = new URL('./in-' + name + '/', import.meta.url)
  mkdirSync(own)
  writeFileSync(new URL('parley.secret', own), makeSecret() + '\\n', { mode: 0o600 })
  process.chdir(own.pathname)
  console.error('== ' + name)
  await import('./' + name)
}
process.exit()
`

let folder = ''
/** As installed: `parley-mesh` and `zod` by name, and the sources instead of the build. */
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'parley-readme-'))
  await mkdir(join(folder, 'node_modules'))
  await mkdir(join(folder, 'package'))
  await writeFile(join(folder, 'package/package.json'), '{"type":"module","exports":"./index.ts"}')
  await writeFile(join(folder, 'package/index.ts'), `export * from ${JSON.stringify(at('node/index.ts'))}\n`)
  await symlink(join(folder, 'package'), join(folder, 'node_modules/parley-mesh'))
  await symlink(at('node_modules/zod'), join(folder, 'node_modules/zod'))
  await symlink(at('node_modules/@types'), join(folder, 'node_modules/@types'))
  await writeFile(join(folder, 'package.json'), '{"type":"module"}')
  const compilerOptions = { paths: { 'parley-mesh': [at('node/index.ts')] }, typeRoots: [at('node_modules/@types')] }
  await writeFile(
    join(folder, 'tsconfig.json'),
    JSON.stringify({ extends: at('tsconfig.json'), compilerOptions, include: ['*.ts'], exclude: [] }),
  )
  // A port of their own may be taken here.
  const written = programs.map(({ name, text }) => [name, text.replace('/tcp/8081', '/tcp/0')] as const)
  await Promise.all(written.map(([name, text]) => writeFile(join(folder, name), text)))
  await writeFile(join(folder, 'run-all.mjs'), RUN_ALL)
})
after(() => rm(folder, { recursive: true, force: true }))

const failureOf = (error: unknown): string =>
  z
    .object({ stdout: z.string(), stderr: z.string() })
    .transform(({ stdout, stderr }) => stdout + stderr)
    .parse(error)

describe('the programs of the README', { concurrency: 2 }, () => {
  test('each compiles', async () => {
    assert.ok(programs.length > 5)
    const failed = await run(process.execPath, [at('node_modules/typescript/bin/tsc'), '-p', folder]).catch(failureOf)
    assert.equal(typeof failed === 'string' ? failed : '', '')
  })

  test('each that is marked so runs, in a folder with a secret', async () => {
    const names = programs.filter(({ marks }) => marks.includes('run')).map(({ name }) => name)
    const failed = await run(process.execPath, [join(folder, 'run-all.mjs'), ...names], { timeout: 110_000 }).catch(
      failureOf,
    )
    assert.equal(typeof failed === 'string' ? failed : '', '')
  })

  test('each runs, but those that only another one runs', () => {
    const idle = programs.filter(({ marks }) => marks.length === 0).map(({ line }) => `line ${line}`)
    assert.deepEqual(idle, [], 'mark a block with `run`, or with the name of the file that another one uses')
  })
})

/** Parses and does nothing. */
const harmless = (command: Command): Command => {
  if (command.commands.length === 0) command.action(() => {})
  for (const one of command.commands) harmless(one)
  return command
}

/** What commander says of these arguments; undefined where they are right. */
const objection = async (words: readonly string[]): Promise<string | undefined> => {
  try {
    await harmless(createProgram().configureOutput({ writeOut: () => {} })).parseAsync(keepProgramArguments(words), {
      from: 'user',
    })
  } catch (error) {
    if (error instanceof CommanderError && ['commander.helpDisplayed', 'commander.version'].includes(error.code)) return
    return error instanceof Error ? error.message : String(error)
  }
  return undefined
}

const programOf = (words: readonly string[]): readonly string[] | undefined => {
  const [first, ...rest] = words
  if (first === 'npx') return programOf(rest)
  // In a container: what is behind its name.
  if (first === 'docker' || first === 'kubectl') {
    const inside = words.includes('exec') ? words.lastIndexOf('parley') : -1
    return inside === -1 ? undefined : words.slice(inside + 1)
  }
  return first === 'parley' || first === 'parley-mesh' ? rest : undefined
}

describe('the command lines of the texts', () => {
  for (const path of TEXTS) {
    test(`those of ${path} are known, with their options`, async () => {
      const wrong = []
      for (const { language, line, text } of blocksOf(await readFile(at(path), 'utf8'))) {
        if (language !== 'sh' && language !== 'bash') continue
        for (const words of commandsOf(text)) {
          const args = programOf(words)
          const said = args === undefined ? undefined : await objection(args)
          if (said !== undefined) wrong.push(`line ${line}: ${words.join(' ')}: ${said}`)
        }
      }
      assert.deepEqual(wrong, [])
    })
  }

  test('a command or option that does not exist is noticed', async () => {
    assert.match((await objection(['uq'])) ?? '', /unknown command/)
    assert.match((await objection(['up', '--nam', 'x'])) ?? '', /unknown option/)
    assert.equal(await objection(['up', '--name', 'x']), undefined)
  })

  test('commands that the text names exist', () => {
    const program = createProgram()
    const isKnown = (words: string[], command: Command): boolean => {
      const [first, ...rest] = words
      if (first === undefined || command.commands.length === 0) return true
      const next = command.commands.find((one) => one.name() === first)
      return next !== undefined && isKnown(rest, next)
    }
    const unknown = [...README.matchAll(/`parley ((?:[a-z][a-z-]* ?)+)/g)]
      .map(([, words = '']) => words.trim().split(' '))
      .filter((words) => words[0] !== 'help' && !isKnown(words, program))
      .map((words) => words.join(' '))
    assert.deepEqual(unknown, [])
  })

  test('scripts of npm that the text names exist', () => {
    const { scripts } = z
      .object({ scripts: z.record(z.string(), z.string()) })
      .parse(JSON.parse(readFileSync(at('package.json'), 'utf8')))
    const named = [...README.matchAll(/npm run (?:--silent )?([a-z:-]+)/g)].map(([, name = '']) => name)
    assert.deepEqual(
      named.filter((name) => !(name in scripts)),
      [],
    )
  })
})

/** The text under a heading of the second level. */
const chapterOf = (heading: string): string => {
  const [, text] = README.split(`\n## ${heading}\n`)
  assert.ok(text !== undefined, `no chapter ${heading}`)
  return text.split('\n## ', 1)[0] ?? ''
}

describe('what the README leads to', () => {
  test('every file that it links to is there', () => {
    const links = [...README.matchAll(/\]\(([^)#]+)(?:#[^)]*)?\)/g)].map(([, link = '']) => link)
    assert.deepEqual(
      links.filter((link) => !/^https?:/.test(link) && !existsSync(at(link))),
      [],
    )
  })

  test('every heading that it links to is there', () => {
    const slug = (heading: string) =>
      heading
        .toLowerCase()
        .replace(/[^\w\s-]/g, '')
        .trim()
        .replace(/\s/g, '-')
    const headings = [...README.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) => slug(heading))
    const wanted = [...README.matchAll(/\]\(#([^)]+)\)/g)].map(([, anchor = '']) => anchor)
    assert.deepEqual(
      wanted.filter((anchor) => !headings.includes(anchor)),
      [],
    )
  })

  test('the defaults that its tables of options name are those of the schema', () => {
    const options: Record<string, unknown> = { ...parseOptions({}) }
    const numbers = new Map<string, number>()
    const collect = (value: unknown): void => {
      if (typeof value !== 'object' || value === null) return
      for (const [name, inner] of Object.entries(value)) {
        if (typeof inner === 'number') numbers.set(name, inner)
        else collect(inner)
      }
    }
    collect(options)
    const wrong = []
    for (const [, name = '', value = ''] of README.matchAll(
      /^\| `(\w+)` \| ([\d,]+)(?: [KM]iB)?(?: \([a-z]+\))? \|/gm,
    )) {
      const unit = new RegExp(`\\| \`${name}\` \\| [\\d,]+ (KiB|MiB)`).exec(README)?.[1]
      const told = Number(value.replaceAll(',', '')) * (unit === 'MiB' ? 2 ** 20 : unit === 'KiB' ? 1024 : 1)
      if (numbers.has(name) && numbers.get(name) !== told)
        wrong.push(`${name}: ${told}, and it is ${numbers.get(name)}`)
      if (!numbers.has(name)) wrong.push(`${name} is no option`)
    }
    assert.deepEqual(wrong, [])
  })

  test('every option of createMesh is named', () => {
    const chapter = chapterOf('Configuration')
    assert.deepEqual(
      Object.keys(MeshOptionsSchema.shape).filter((name) => !chapter.includes(`\`${name}\``)),
      [],
    )
  })

  test('the routes of the debug endpoint are those that it has', () => {
    const told = [...chapterOf('Operation').matchAll(/`(\/[a-z/.]*(?:ID)?)`(?=[^\n]*\|)/g)].map(([, path = '']) => path)
    const known = Object.keys(OPERATIONS).map((path) => path.replace(/\{\w+\}/, 'ID'))
    assert.deepEqual(
      told.filter((path) => !known.includes(path)),
      [],
    )
    assert.deepEqual(
      known.filter((path) => !told.includes(path) && !/^\/page\.|\/retry$/.test(path)),
      [],
    )
  })
})
