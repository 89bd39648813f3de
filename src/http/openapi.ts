import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { deployRequest } from '../lifecycle/deploy/request.js'
import { VERSION } from '../version.js'
import { idAnswer, listAnswer, loginAnswer, loginRequest, removeAnswer } from './deploy-routes.js'

/** One operation as the document tells it. */
export interface Operation {
  readonly method: 'get' | 'post' | 'put' | 'delete'
  readonly path: string
  readonly summary: string
  readonly request?: z.ZodType
  readonly answer: z.ZodType
  /** Problems that it may answer with. */
  readonly problems: readonly number[]
  readonly guarded: boolean
}

export const problemAnswer = z
  .strictObject({ status: z.number().int(), title: z.string(), detail: z.string().optional() })
  .meta({ id: 'Problem' })

export const deployOperations: readonly Operation[] = [
  {
    ...{ method: 'post', path: '/login', guarded: false, problems: [400, 401, 429] },
    summary: 'A token for a user name and a password',
    request: loginRequest,
    answer: loginAnswer,
  },
  {
    ...{ method: 'post', path: '/deploy', guarded: true, problems: [400, 401, 409, 413, 422, 503] },
    summary:
      'Create a container and start it; the same name with the same content gives the same id. With Accept: application/x-ndjson the pulling of its image is told line by line',
    request: deployRequest,
    answer: idAnswer,
  },
  {
    ...{ method: 'get', path: '/deploy', guarded: true, problems: [401, 503] },
    summary: 'The containers that were deployed here',
    answer: listAnswer,
  },
  {
    ...{ method: 'put', path: '/deploy/{id}', guarded: true, problems: [401, 404, 409, 422, 503] },
    summary: 'Start one, by id or name',
    answer: idAnswer,
  },
  {
    ...{ method: 'delete', path: '/deploy/{id}', guarded: true, problems: [401, 404, 409, 422, 503] },
    summary: 'Stop and remove one, by id or name',
    answer: removeAnswer,
  },
]

/** Serves the OpenAPI 3.1 document of these operations, made from the schemas that judge the calls. */
export function addOpenApiRoute(app: FastifyInstance, operations: readonly Operation[]): void {
  const document = openApiDocument(operations)
  app.get('/api/openapi.json', async () => document)
}

export function openApiDocument(operations: readonly Operation[]) {
  const paths: Record<string, Record<string, object>> = {}
  for (const operation of operations) {
    paths[operation.path] = { ...paths[operation.path], [operation.method]: described(operation) }
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Hostler',
      version: VERSION,
      summary: 'Deploys, wakes and puts to sleep what stands behind the proxy',
    },
    paths,
    components: {
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer' },
        token: { type: 'apiKey', in: 'header', name: 'token' },
      },
    },
  }
}

function described({ path, summary, request, answer, problems, guarded }: Operation): object {
  const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name)
  return {
    summary,
    ...(names.length > 0 && {
      parameters: names.map((name) => ({ name, in: 'path', required: true, schema: { type: 'string' } })),
    }),
    ...(request && {
      requestBody: { required: true, content: { 'application/json': { schema: schemaOf(request, 'input') } } },
    }),
    responses: {
      200: { description: 'Done', content: { 'application/json': { schema: schemaOf(answer, 'output') } } },
      ...Object.fromEntries(
        problems.map((status) => [
          status,
          {
            description: 'Refused',
            content: { 'application/problem+json': { schema: schemaOf(problemAnswer, 'output') } },
          },
        ]),
      ),
    },
    ...(guarded && { security: [{ bearer: [] }, { token: [] }] }),
  }
}

function schemaOf(schema: z.ZodType, io: 'input' | 'output'): object {
  const {
    $schema: _,
    $id: __,
    id: ___,
    ...plain
  } = z.toJSONSchema(schema, { io, reused: 'inline' }) as Record<string, unknown>
  return plain
}
