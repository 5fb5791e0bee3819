/* Refusals as the native API says them. Runs in: front, on the loop. */
#pragma once

#include "supervisor/front/refusal.h"

struct http_request;

/* 4xx, 5xx. */
int api_refusal_status(enum refusal_kind kind);

/* rq is gone afterwards. */
void api_refuse(struct http_request *rq, const struct refusal *why);
