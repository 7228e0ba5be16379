/** Somebody else's folder with the package in it, and what a person does there first. */
import assert from 'node:assert/strict'
import { copyFile, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { blocksOf } from '../support/markdown-blocks.ts'
import { until } from '../support/until.ts'
import type { Folders } from './folders.ts'
import { end, run, start } from './run.ts'

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url))
const PROGRAMS = ['talk.mjs', 'loaded.mjs', 'page.mjs', 'types.ts']

/** What a program that only embeds a node must not pay for. By the name of a package, or by a folder of ours. */
const OPTIONAL = [
  /node_modules\/(@libp2p\/(mdns|kad-dht|circuit-relay-v2|websockets)|@chainsafe\/libp2p-quic\w*|multicast-dns)\//,
  /node_modules\/(hono|@hono|commander|cli-table3|@clack|yaml|esbuild|preact)\//,
  /parley-mesh\/dist\/node\/(observe\/(debug\/(debug-|message-schemas|event-|request-guard|routes\/)|dashboard\/)|control\/|cli\/|options\/config\/)/,
]
/** Not even where a node is only imported. */
const LATER = [/node_modules\/(libp2p|classic-level|pino|@libp2p\/(tcp|yamux)|@chainsafe\/libp2p-\w+)\//]

const START_MS = 60_000

/** A bundle says above each piece which module of ours it was. */
const PIECE = /^\/\/ (dist\/\S+\.js)$/gm

/** What was loaded: files of others by their URL, and the modules of ours that were put together in the bundles. */
const modulesOf = async (urls: readonly string[]): Promise<string[]> => {
  const each = urls.map(async (url) => {
    if (!url.includes('/parley-mesh/dist/')) return [url]
    const text = await readFile(fileURLToPath(url), 'utf8')
    return [url, ...Array.from(text.matchAll(PIECE), ([, module]) => `parley-mesh/${module}`)]
  })
  return (await Promise.all(each)).flat()
}

export interface Consumer {
  /** Runs one of the programs in consumer/, and gives what it printed. */
  runs(program: string, node: string): Promise<string>
  /** Runs the programs of a page of docs/. @returns how many */
  runsPage(page: string, node: string): Promise<number>
  /** `npx ARGS`; what it says and how it ends. */
  npx(node: string, ...args: string[]): ReturnType<typeof run>
  /** What the README says about the first five minutes: init, an agent, up, agents, call, a program as an agent, doctor, stop. */
  firstSteps(node: string): Promise<void>
  loadsNothingOptional(node: string): Promise<{ byImport: number; byNode: number }>
  /** Compiles a strict program against the types, those of all dependencies included. */
  compiles(resolution: 'nodenext' | 'bundler'): Promise<void>
}

const UpSchema = z.object({ name: z.string(), debugUrl: z.string(), addresses: z.array(z.string()).min(1) })
const LoadedSchema = z.object({ byImport: z.array(z.string()), byNode: z.array(z.string()) })

/** Installs the tarball, and zod beside it, into an empty folder: dependencies only, as `npm install` does it. */
export const installInto = async (folders: Folders, tarball: string): Promise<Consumer> => {
  const cwd = await folders.project('consumer')
  await run('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline', tarball, 'zod@4'], { cwd })
  await Promise.all(PROGRAMS.map((name) => copyFile(here(`./consumer/${name}`), join(cwd, name))))

  const npx = (node: string, ...args: string[]) => start('npx', args, { cwd, node })
  return {
    async runs(program, node) {
      return (await run(node, [program], { cwd, node })).stdout
    },
    async runsPage(page, node) {
      const blocks = blocksOf(await readFile(here(`../../docs/${page}`), 'utf8')).filter(
        ({ language, marks }) => language === 'ts' && marks.includes('run'),
      )
      assert.ok(blocks.length > 0, `${page} has no program`)
      for (const { text, line } of blocks) {
        const program = `${page}-${line}.ts`
        await writeFile(join(cwd, program), text)
        await run(node, [program], { cwd, node })
      }
      return blocks.length
    },
    npx: (node, ...args) => npx(node, ...args).ended,

    async firstSteps(node) {
      const primes = blocksOf(await readFile(here('../../README.md'), 'utf8')).find(({ marks }) =>
        marks.includes('primes.ts'),
      )
      assert.ok(primes !== undefined, 'the README has no primes.ts')
      await writeFile(join(cwd, 'primes.ts'), primes.text)
      const does = async (...args: string[]): Promise<string> => {
        const { code, stdout, said } = await npx(node, 'parley', ...args).ended
        assert.equal(code, 0, `parley ${args.join(' ')}: ${said}`)
        return stdout
      }
      await does('init', '--force')
      const up = npx(node, 'parley-mesh', 'up', '--serve', 'primes.ts', '--json')
      let over: string | undefined
      void up.ended.then(({ said }) => {
        over = said
      })
      try {
        const hasLine = (): boolean => {
          assert.equal(over, undefined, 'it ended before it was up')
          return up.stdout().includes('\n')
        }
        await until('the line about the node', hasLine, START_MS)
        const line = up.stdout().split('\n', 1)[0] ?? ''
        const { debugUrl } = UpSchema.parse(JSON.parse(line))
        assert.equal((await fetch(new URL('/readyz', debugUrl))).status, 200)
        // The thread of the agent starts behind its node.
        await until('the agent is listed', async () => /primes/.test(await does('agents')), START_MS)
        assert.equal(await does('call', 'primes.count', '{"upTo": 1000}'), '{"found":168}\n')
        const shout = npx(node, 'parley', 'serve', 'shout', '--command', 'tr', '--', 'a-z', 'A-Z')
        try {
          await until('the program is an agent', async () => /shout/.test(await does('agents')), START_MS)
          assert.equal(await does('call', 'shout.run', '"hello"'), '"HELLO"\n')
        } finally {
          end(shout.child, 'SIGKILL')
          await shout.ended
        }
        await does('doctor')
        await does('stop')
        assert.equal((await up.ended).code, 0, 'it was told to stop, and ended with an error')
      } finally {
        end(up.child, 'SIGKILL')
        await up.ended
      }
    },

    async loadsNothingOptional(node) {
      const { stdout } = await run(node, ['loaded.mjs'], { cwd, node })
      const { byImport, byNode } = LoadedSchema.parse(JSON.parse(stdout))
      const [imported, started] = await Promise.all([modulesOf(byImport), modulesOf(byNode)])
      assert.ok(imported.includes('parley-mesh/dist/node/mesh.js'), 'the bundles do not say what is in them')
      const among = (urls: string[], forms: RegExp[]) => urls.filter((url) => forms.some((form) => form.test(url)))
      assert.deepEqual(among(imported, [...OPTIONAL, ...LATER]), [], 'loaded by the import alone')
      assert.deepEqual(among(started, OPTIONAL), [], 'loaded by a node without options')
      return { byImport: byImport.length, byNode: byNode.length }
    },

    async compiles(resolution) {
      const module = resolution === 'bundler' ? 'esnext' : 'nodenext'
      const options = ['--module', module, '--moduleResolution', resolution, '--target', 'es2022', '--lib', 'es2024']
      const types = ['--types', 'node', '--typeRoots', here('../../node_modules/@types'), '--skipLibCheck', 'false']
      const strict = ['--strict', '--exactOptionalPropertyTypes', '--noUncheckedIndexedAccess', '--noEmit']
      await run(here('../../node_modules/.bin/tsc'), [...options, ...types, ...strict, 'types.ts'], { cwd })
    },
  }
}
