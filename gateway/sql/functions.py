"""What calling a function by name means: the special list of enforcement.md section 5 (L1), and the names known to be harmless.

What lives here: two tables and their look-up. `SAFE` serves when no catalog is loaded (offline); with a catalog, its
`safe_functions` decides. Not here: whether a name resolves to user code (resolve.py).
"""

from fnmatch import fnmatchcase
from functools import lru_cache

from gateway.sql.statement import Statement
from gateway.sql.statement import StatementClass as Kind
from gateway.sql.tree import parts, words

_SPECIAL: tuple[tuple[Kind, str], ...] = (
    (Kind.HOUSEKEEPING, "pg_advisory_unlock*"),
    (Kind.SESSION, "pg_advisory_lock* pg_advisory_xact_lock* pg_try_advisory_* pg_notify pg_export_snapshot"),
    (Kind.WRITE, "nextval setval lo_create lo_creat lo_from_bytea lo_put lowrite lo_unlink lo_truncate*"),
    (
        Kind.ADMIN,
        (
            "pg_terminate_backend pg_cancel_backend pg_reload_conf pg_rotate_logfile* pg_promote pg_read_file* "
            "pg_read_binary_file* pg_ls_* pg_stat_file pg_file_* pg_current_logfile pg_switch_wal pg_create_restore_point "
            "pg_backup_* pg_start_backup pg_stop_backup pg_wal_replay_* pg_create_*_slot pg_drop_replication_slot "
            "pg_copy_*_slot pg_replication_* pg_logical_* pg_sync_replication_slots pg_import_system_collations "
            "pg_stat_reset* pg_stat_statements_reset pg_log_backend_memory_contexts pg_restore_* pg_clear_* "
            "lo_import lo_export brin_summarize_* brin_desummarize_* gin_clean_pending_list pg_prewarm pg_logdir_ls "
            "pg_extension_config_dump binary_upgrade_* pg_nextoid pg_reload* pg_stat_force_next_flush"
        ),
    ),
    (
        Kind.OPAQUE,
        (
            "lo_* loread dblink* *_to_xml* *_to_xmlschema* crosstab* connectby* xpath_table ts_stat ts_rewrite "
            # they read a text as a type that an argument names; a domain's CHECK is then run
            "pg_input_* array_in record_in domain_in range_in multirange_in *_recv "
            "plpgsql_call_handler plpgsql_inline_handler"
        ),
    ),
)

SAFE = words(
    # aggregates and window functions
    "count sum avg min max array_agg string_agg json_agg jsonb_agg json_object_agg jsonb_object_agg bool_and bool_or every "
    "bit_and bit_or bit_xor any_value stddev stddev_pop stddev_samp variance var_pop var_samp corr covar_pop covar_samp "
    "regr_avgx regr_avgy regr_count regr_intercept regr_r2 regr_slope mode percentile_cont percentile_disc rank dense_rank "
    "percent_rank cume_dist row_number ntile lag lead first_value last_value nth_value range_agg xmlagg "
    # text
    "lower upper initcap length char_length character_length octet_length bit_length substr substring left right trim btrim "
    "ltrim rtrim lpad rpad replace translate reverse repeat split_part strpos position concat concat_ws format ascii chr "
    "md5 sha224 sha256 sha384 sha512 encode decode quote_ident quote_literal quote_nullable regexp_replace regexp_match "
    "regexp_matches regexp_split_to_array regexp_split_to_table regexp_count regexp_instr regexp_like regexp_substr "
    "string_to_array string_to_table array_to_string starts_with overlay to_hex to_char to_number to_date to_timestamp "
    "normalize is_normalized unistr like_escape similar_to_escape textlike parse_ident convert_from convert_to "
    # numbers
    "abs ceil ceiling floor round trunc sqrt cbrt power pow exp ln log log10 mod div sign gcd lcm factorial width_bucket "
    "random random_normal pi degrees radians sin cos tan asin acos atan atan2 sind cosd tand scale min_scale trim_scale "
    # dates
    "now current_date statement_timestamp transaction_timestamp clock_timestamp timeofday age date_part date_trunc date_bin "
    "extract make_date make_time make_timestamp make_timestamptz make_interval justify_days justify_hours justify_interval "
    "isfinite timezone overlaps date timestamp timestamptz time interval "
    # arrays, ranges, rows
    "unnest array_length array_upper array_lower array_ndims array_dims array_append array_prepend array_cat array_remove "
    "array_replace array_position array_positions array_fill array_sample array_shuffle array_sort array_reverse cardinality "
    "trim_array generate_series generate_subscripts int4range int8range numrange daterange tsrange tstzrange isempty "
    "lower_inc upper_inc lower_inf upper_inf range_merge num_nulls num_nonnulls "
    # json and xml values
    "to_json to_jsonb row_to_json array_to_json json_build_array jsonb_build_array json_build_object jsonb_build_object "
    "json_object jsonb_object json_array_length jsonb_array_length json_each jsonb_each json_each_text jsonb_each_text "
    "json_array_elements jsonb_array_elements json_array_elements_text jsonb_array_elements_text json_object_keys "
    "jsonb_object_keys json_extract_path jsonb_extract_path json_extract_path_text jsonb_extract_path_text json_typeof "
    "jsonb_typeof json_strip_nulls jsonb_strip_nulls jsonb_set jsonb_set_lax jsonb_insert jsonb_pretty jsonb_path_exists "
    "jsonb_path_match jsonb_path_query jsonb_path_query_array jsonb_path_query_first json_to_record jsonb_to_record "
    "json_to_recordset jsonb_to_recordset json_populate_record jsonb_populate_record json_populate_recordset "
    "jsonb_populate_recordset json json_scalar json_query json_value json_exists json_serialize json_array json_arrayagg "
    "json_objectagg json_table merge_action xpath xpath_exists xmlexists xml_is_well_formed xmlcomment "
    # text search
    "to_tsvector to_tsquery plainto_tsquery phraseto_tsquery websearch_to_tsquery ts_rank ts_rank_cd ts_headline setweight "
    "strip numnode querytree "
    # session and catalog facts
    "version current_database current_catalog current_schema current_schemas current_user session_user current_role "
    "system_user current_setting current_query pg_backend_pid pg_postmaster_start_time pg_conf_load_time pg_is_in_recovery "
    "inet_client_addr inet_client_port inet_server_addr inet_server_port pg_my_temp_schema pg_is_other_temp_schema "
    "pg_get_userbyid pg_get_viewdef pg_get_indexdef pg_get_constraintdef pg_get_functiondef pg_get_function_arguments "
    "pg_get_function_identity_arguments pg_get_function_result pg_get_expr pg_get_ruledef pg_get_triggerdef "
    "pg_get_serial_sequence pg_get_partkeydef pg_get_statisticsobjdef_columns pg_get_keywords pg_table_is_visible "
    "pg_type_is_visible pg_function_is_visible pg_operator_is_visible pg_opclass_is_visible pg_collation_is_visible "
    "pg_ts_config_is_visible pg_conversion_is_visible pg_statistics_obj_is_visible pg_encoding_to_char pg_char_to_encoding "
    "pg_relation_size pg_table_size pg_indexes_size pg_total_relation_size pg_database_size pg_tablespace_size "
    "pg_size_pretty pg_size_bytes pg_typeof pg_column_size pg_collation_for pg_describe_object pg_identify_object "
    "obj_description col_description shobj_description format_type to_regclass to_regtype to_regproc to_regprocedure "
    "to_regnamespace to_regrole to_regoper has_table_privilege has_column_privilege has_any_column_privilege "
    "has_schema_privilege has_database_privilege has_function_privilege has_sequence_privilege has_type_privilege "
    "has_tablespace_privilege has_language_privilege has_server_privilege pg_has_role row_security_active pg_tablespace_location "
    "pg_relation_is_publishable pg_partition_tree pg_partition_root pg_partition_ancestors pg_blocking_pids pg_sequence_last_value "
    "currval lastval aclexplode acldefault aclitemin pg_options_to_table pg_sleep pg_sleep_for pg_sleep_until "
    "gen_random_uuid uuidv4 uuidv7 uuid_extract_version uuid_extract_timestamp txid_current_if_assigned "
    "pg_current_xact_id_if_assigned txid_current_snapshot pg_current_snapshot pg_snapshot_xmin pg_snapshot_xmax "
    "pg_current_wal_lsn pg_current_wal_insert_lsn pg_current_wal_flush_lsn pg_last_wal_receive_lsn pg_last_wal_replay_lsn "
    "pg_last_xact_replay_timestamp pg_is_wal_replay_paused pg_get_wal_replay_pause_state pg_jit_available pg_trigger_depth "
    "pg_listening_channels pg_lock_status pg_stat_get_activity pg_show_all_settings pg_timezone_names pg_timezone_abbrevs "
    "pg_notification_queue_usage pg_safe_snapshot_blocking_pids pg_isolation_test_session_is_blocked pg_prepared_xact "
    "pg_xact_status txid_status pg_xact_commit_timestamp pg_xact_commit_timestamp_origin pg_last_committed_xact "
    "pg_get_multixact_members pg_get_sequence_data pg_control_system pg_control_checkpoint pg_control_init pg_control_recovery "
    "pg_collation_actual_version pg_database_collation_actual_version pg_stat_clear_snapshot pg_stat_have_stats "
    "pg_get_backend_memory_contexts pg_get_shmem_allocations pg_get_wait_events pg_get_wal_resource_managers setseed "
    # inet, hash, misc
    "host hostmask netmask network broadcast masklen family abbrev inet_same_family inet_merge set_masklen "
    "hashtext greatest least coalesce nullif grouping get_bit get_byte set_bit set_byte bit_count crc32 crc32c "
    # table sampling methods
    "system bernoulli"
)


SAFE_TYPES = words(
    "text varchar bpchar char name date time timetz timestamp timestamptz interval int2 int4 int8 float4 float8 numeric bool "
    "uuid json jsonb jsonpath xml bytea inet cidr macaddr macaddr8 money bit varbit oid regclass regtype regproc regprocedure "
    "regnamespace regrole regconfig regdictionary regoper regoperator regcollation xid xid8 cid tid pg_lsn point line lseg box "
    "path polygon circle tsvector tsquery int4range int8range numrange tsrange tstzrange daterange int4multirange "
    "int8multirange nummultirange tsmultirange tstzmultirange datemultirange record int2vector oidvector unknown"
)
_COMPILED = tuple(
    (kind, (frozenset(p for p in text.split() if "*" not in p), tuple(p for p in text.split() if "*" in p)))
    for kind, text in _SPECIAL
)


@lru_cache(maxsize=2048)
def special_class(name: str) -> Kind | None:
    """Say the class of calling `name` (no schema) when it is on the special list, else None. The order of the table counts."""
    for kind, patterns in _COMPILED:
        if name in patterns[0] or any(fnmatchcase(name, each) for each in patterns[1]):
            return kind
    return None


#: A read by its effects, and what random() gives is told by it.
SEED = "setseed"
#: What they give is chosen, or may be, by who sends the statement: settings of one's own, comments, locks, seeds ...
_OF_SESSION = words("current_setting current_query currval lastval random random_normal array_sample array_shuffle")
_OF_SESSION_PREFIXES = ("pg_", "txid_", "inet_client_")


def seeds(statement: Statement) -> bool:
    """Does it seed random(), which then tells of it for as long as the backend lives? A name may stand behind its database's too."""
    return any(SEED in each and parts(each)[-1] == SEED for each in statement.functions)


def depends_on_session(statement: Statement) -> bool:
    """Whether the same text may choose other rows for another session, or for this one later, by more than the tables hold.
    What code and views behind it ask for is not looked at."""
    called = [parts(each)[-1] for each in statement.functions]
    of_server = [each for each in statement.reads if each.startswith(("pg_catalog.", "information_schema."))]
    return bool(of_server) or any(each in _OF_SESSION or each.startswith(_OF_SESSION_PREFIXES) for each in called)
